// Makes the page live. Without it every form still works, with a page load each.
"use strict";

const byId = (id) => document.getElementById(id);
const mine = new Set();
let anew = true; // the first news after a connection is the truth, whatever we show

function say(text) {
  byId("said").textContent = text;
}

function link(state, text) {
  const element = byId("link");
  element.className = "link " + state;
  if (element.textContent.trim() !== text) element.firstElementChild.textContent = text;
}

// ---- the list: row by row, so that focus, scrolling and reading are not disturbed

function rowsFrom(markup) {
  const template = document.createElement("template");
  template.innerHTML = markup; // escaped on the server; the policy lets no script in it run
  return [...template.content.children].filter((element) => element.matches("tr"));
}

function putRow(list, fresh, before) {
  const old = byId(fresh.id);
  if (!old) {
    list.insertBefore(fresh, before);
    return fresh;
  }
  const [now, then] = [Number(fresh.dataset.changed), Number(old.dataset.changed)];
  if (anew ? now === then : now <= then) {
    if (old !== before) list.insertBefore(old, before);
    return old;
  }
  const focused = old.contains(document.activeElement);
  list.insertBefore(fresh, before === old ? old.nextSibling : before);
  old.remove();
  fresh.classList.add("turned");
  if (mine.has(fresh.id)) {
    const status = fresh.querySelector(".status").textContent;
    const reason = fresh.querySelector(".status + small");
    say(fresh.querySelector("b").textContent + ": " + status.toLowerCase() +
      (reason ? ", " + reason.textContent : ""));
  }
  if (focused) {
    const again = fresh.querySelector("button");
    if (again) {
      again.focus();
    } else {
      fresh.tabIndex = -1;
      fresh.focus({ preventScroll: true });
    }
  }
  return fresh;
}

function showList(markup) {
  const list = byId("reservations");
  const wanted = rowsFrom(markup);
  const ids = new Set(wanted.map((row) => row.id));
  for (const old of [...list.children]) {
    if (!ids.has(old.id)) old.remove();
  }
  let place = list.firstElementChild;
  for (const fresh of wanted) {
    const shown = putRow(list, fresh, place);
    place = shown.nextElementSibling;
  }
}

// ---- everything else: replaced as a whole; an opened table stays open

function showPart(id, markup) {
  const element = byId(id);
  if (!element) return;
  const open = [...element.querySelectorAll("details[open]")].map((each) => each.dataset.keep);
  const focus = element.contains(document.activeElement)
    ? [...element.querySelectorAll("summary, [tabindex]")].indexOf(document.activeElement)
    : -1;
  const scrolled = [...element.querySelectorAll(".scroll")].map((each) => [each.scrollLeft, each.scrollTop]);
  element.innerHTML = markup;
  for (const name of open) {
    const details = element.querySelector(`details[data-keep="${CSS.escape(name)}"]`);
    if (details) details.open = true;
  }
  element.querySelectorAll(".scroll").forEach((each, n) => {
    if (scrolled[n]) [each.scrollLeft, each.scrollTop] = scrolled[n];
  });
  if (focus >= 0) element.querySelectorAll("summary, [tabindex]")[focus]?.focus({ preventScroll: true });
}

function listen() {
  const news = new EventSource(document.body.dataset.live);
  news.addEventListener("open", () => {
    link("live", "live");
    anew = true;
  });
  news.addEventListener("parts", (event) => {
    for (const [id, markup] of Object.entries(JSON.parse(event.data))) {
      if (id === "reservations") showList(markup);
      else showPart(id, markup);
    }
    anew = false;
  });
  news.addEventListener("error", () => {
    link("lost", "not connected, trying again");
    // a browser gives up after some answers (a proxy's error page, say): then we ask again
    if (news.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
  });
  window.addEventListener("pagehide", () => news.close(), { once: true });
}

// ---- the form and the buttons

// not `disabled`: that would take the focus away from whoever uses the keyboard
function busy(button, is) {
  button.setAttribute("aria-disabled", String(is));
}

const isBusy = (button) => button.getAttribute("aria-disabled") === "true";

async function post(form) {
  const response = await fetch(form.action, {
    method: "POST",
    headers: { accept: "application/json" },
    body: new URLSearchParams(new FormData(form)),
  });
  return [response.ok, await response.json()];
}

function notice(text, wrong) {
  const element = byId("notice");
  element.textContent = text;
  element.classList.toggle("wrong", wrong);
}

function showErrors(form, errors) {
  let first = null;
  for (const input of form.querySelectorAll("input:not([type=hidden]), select")) {
    const text = errors[input.name] || "";
    byId(input.id + "-error").textContent = text;
    if (text) {
      input.setAttribute("aria-invalid", "true");
      first = first || input;
    } else {
      input.removeAttribute("aria-invalid");
    }
  }
  if (first) first.focus();
}

async function ask(event) {
  event.preventDefault();
  const form = event.currentTarget;
  const button = form.querySelector("button");
  if (isBusy(button)) return;
  busy(button, true);
  notice("", false);
  try {
    const [ok, answer] = await post(form);
    showErrors(form, answer.errors || {});
    if (ok) {
      const [row] = rowsFrom(answer.row);
      if (row) {
        mine.add(row.id);
        const list = byId("reservations");
        if (!byId(row.id)) list.insertBefore(row, list.firstElementChild);
        list.closest(".scroll").scrollTop = 0;
      }
      form.elements.ticket.value = answer.ticket;
      form.elements.guest.value = "";
      notice(answer.notice, false);
    } else {
      notice((answer.errors || {}).form || answer.message, true);
    }
  } catch {
    notice("The desk cannot be reached. Try again: the same request is taken down only once.", true);
  } finally {
    busy(button, false);
  }
}

async function cancel(event) {
  const form = event.target.closest("form[data-cancel]");
  if (!form) return;
  event.preventDefault();
  const button = form.querySelector("button");
  if (isBusy(button)) return;
  busy(button, true);
  mine.add(form.closest("tr").id);
  try {
    const [ok, answer] = await post(form);
    if (ok) {
      const [row] = rowsFrom(answer.row);
      const old = row && byId(row.id);
      if (old) putRow(byId("reservations"), row, old);
    } else {
      notice((answer.errors || {}).form || answer.message, true);
      busy(button, false);
    }
  } catch {
    notice("The desk cannot be reached. Try again.", true);
    busy(button, false);
  }
}

byId("ask").addEventListener("submit", ask);
byId("reservations").addEventListener("submit", cancel);
listen();
window.addEventListener("pageshow", (event) => event.persisted && listen());

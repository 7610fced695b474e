"""The demo's page in Chromium, as a person uses it."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
PHONE = {"width": 390, "height": 844}


def missing(what: str) -> None:
    """Without a browser nothing here is tested: said aloud, and never let pass in CI."""
    message = f"{what}: THE PAGE IS NOT TESTED. Run: uv run --group browser pytest tests/browser"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


# ---- the demo as a process of its own


class Demo:
    """`reservation demo` over a store that outlives it."""

    def __init__(self, store: Path, *options: str) -> None:
        self.port = free_port()
        self._command = [
            *(sys.executable, "-m", "reservation", "demo", "--port", str(self.port)),
            *("--store", str(store), *options),
        ]
        self._process: subprocess.Popen[str] | None = None
        self.said: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self, until: str = "In this house it is") -> None:
        self._process = subprocess.Popen(
            self._command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "COLUMNS": "120"},
        )
        lines: Queue[str | None] = Queue()
        self._reader = Thread(target=self._read, args=(self._process, lines), daemon=True)
        self._reader.start()
        while True:
            try:
                line = lines.get(timeout=60)
            except Empty:
                pytest.fail(f"the demo did not say {until!r}, only: {self.said}")
            if line is None:
                pytest.fail(f"the demo ended: {self.said}")
            self.said.append(line)
            if until in line:
                return

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        assert self._process is not None
        self._process.send_signal(with_signal)
        status = self._process.wait(timeout=15)
        self._reader.join(timeout=5)
        return status

    @staticmethod
    def _read(process: subprocess.Popen[str], lines: "Queue[str | None]") -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                lines.put(line)
        lines.put(None)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    running = Demo(tmp_path_factory.mktemp("demo") / "demo.db")
    running.start()
    yield running
    assert running.stop() == 0, running.said


# ---- the browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        missing("chromium is not installed")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed")
        raise
    profile = tmp_path_factory.mktemp("profile")
    with sync_playwright() as playwright:
        # a persistent context takes a user data directory of its own; further contexts come of it
        opened = playwright.chromium.launch(
            executable_path=chromium,
            args=[*ARGUMENTS, f"--disk-cache-dir={profile}"],
        )
        yield opened
        opened.close()


@dataclass
class Visit:
    """A page, what went wrong on it, and where its pictures go."""

    page: Any
    troubles: list[str]
    folder: Path

    def picture(self, name: str, *, whole: bool = True) -> None:
        self.page.screenshot(path=self.folder / f"{name}.png", full_page=whole)


@pytest.fixture
def visit(
    browser: Any, demo: Demo, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Visit]]:
    opened: list[Any] = []
    visits: list[Visit] = []
    folder = Path(os.environ.get("DIPTYCH_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)

    def go(url: str | None = None, **options: Any) -> Visit:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        opened.append(context)
        page = context.new_page()
        troubles: list[str] = []
        page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
        page.on("dialog", lambda dialog: troubles.append(f"dialog: {dialog.message}"))
        page.on(
            "request",
            lambda sent: (
                None if sent.url.startswith("http://127.0.0.1:") else troubles.append(sent.url)
            ),
        )
        page.on(
            "console",
            lambda said: (
                troubles.append(said.text) if "Content Security Policy" in said.text else None
            ),
        )
        page.goto(url or demo.url)
        visits.append(Visit(page, troubles, folder))
        return visits[-1]

    yield go
    for each in visits:
        if request.node.rep_call.failed if hasattr(request.node, "rep_call") else False:
            each.picture(f"failed-{request.node.name}")
        assert each.troubles == []
    for context in opened:
        context.close()


def live(page: Any) -> None:
    page.locator("#link.live").wait_for(timeout=10_000)


def fill(page: Any, guest: str, **values: str) -> None:
    page.fill("#guest", guest)
    for name, value in values.items():
        page.fill(f"#{name}", value)


def row_of(page: Any, guest: str) -> Any:
    return page.locator("#reservations tr", has=page.get_by_text(guest, exact=True)).first


# ---- what a person does


def test_a_stay_is_asked_for_turns_accepted_and_is_cancelled_without_a_reload(
    visit: Callable[..., Visit],
) -> None:
    seen = visit()
    page = seen.page
    live(page)
    page.evaluate("window.neverReloaded = true")
    fill(page, "Greta Halvorsen", nights="3")
    page.select_option("#hotel", "Resort Hotel")
    page.click("#ask button")
    row = row_of(page, "Greta Halvorsen")
    row.get_by_text("REQUESTED", exact=True).wait_for(timeout=2_000)
    assert page.locator("#notice").inner_text() == "Asked for. The hotel answers in a moment."
    seen.picture("requested", whole=False)
    row.get_by_text("ACCEPTED", exact=True).wait_for(timeout=10_000)
    assert "accepted" in page.locator("#said").inner_text()
    row.get_by_role("button", name="Cancel").click()
    row.get_by_text("CANCELLATION REQUESTED", exact=True).wait_for(timeout=2_000)
    row.get_by_text("CANCELLED", exact=True).wait_for(timeout=10_000)
    assert row.get_by_role("button").count() == 0
    assert page.evaluate("window.neverReloaded") is True
    seen.picture("cancelled", whole=False)


def test_what_one_visitor_does_another_sees(visit: Callable[..., Visit]) -> None:
    watcher, asker = visit(), visit()
    live(watcher.page)
    live(asker.page)
    fill(asker.page, "Ole Brandt")
    asker.page.click("#ask button")
    row_of(watcher.page, "Ole Brandt").get_by_text("ACCEPTED", exact=True).wait_for(timeout=10_000)


def test_the_charts_show_the_replayed_month(visit: Callable[..., Visit]) -> None:
    seen = visit()
    page = seen.page
    tall = page.locator("#occupancy .column").evaluate_all(
        "all => all.filter(one => one.height.baseVal.value > 1).length"
    )
    assert tall > 100
    assert page.locator("#occupancy .past .column").count() > 40
    assert page.locator("#revenue tbody .bar").count() >= 4
    assert page.locator("#outcomes .rate").count() == 2
    assert all(re.fullmatch(r"\d+%", rate) for rate in page.locator(".rate").all_inner_texts())
    fresh = page.locator(".card > footer").all_inner_texts()
    assert len(fresh) == 4
    assert all(re.match(r"As of event [\d,]+, nothing newer is waiting", text) for text in fresh)
    page.get_by_text("The same as a table").click()
    assert page.locator("#occupancy tbody tr").count() == 63
    page.get_by_text("The same as a table").click()
    before = page.locator(".window h2").inner_text()
    page.get_by_label("Four weeks later").click()
    page.wait_for_url("**/?from=*")
    assert page.locator(".window h2").inner_text() != before


def test_an_open_table_and_the_focus_survive_news(visit: Callable[..., Visit]) -> None:
    page = visit().page
    live(page)
    page.get_by_text("The same as a table").click()
    page.locator("#guest").focus()
    fill(page, "Mona Lind", nights="1")
    page.keyboard.press("Enter")
    row_of(page, "Mona Lind").get_by_text("ACCEPTED", exact=True).wait_for(timeout=10_000)
    page.wait_for_timeout(300)
    assert page.locator("#occupancy details").get_attribute("open") is not None
    button = row_of(page, "Mona Lind").get_by_role("button", name="Cancel")
    button.focus()
    page.keyboard.press("Enter")
    row_of(page, "Mona Lind").get_by_text("CANCELLED", exact=True).wait_for(timeout=10_000)
    focused = page.evaluate("document.activeElement.closest('tr')?.textContent ?? ''")
    assert "Mona Lind" in focused


def test_mistakes_are_shown_at_their_fields(visit: Callable[..., Visit]) -> None:
    seen = visit()
    page = seen.page
    fill(page, "", nights="-1", arrival="2015-07-01")
    page.click("#ask button")
    page.locator("#nights-error").get_by_text("from 0 to 56").wait_for(timeout=5_000)
    assert "passed" in page.locator("#arrival-error").inner_text()
    assert "name" in page.locator("#guest-error").inner_text()
    assert page.evaluate("document.activeElement.id") == "guest"
    assert page.locator("#notice").inner_text() == "Nothing was recorded."
    seen.picture("mistakes", whole=False)


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert('in')</script>",
        "<img src=x onerror=alert(1)>",
        '"><b onmouseover=alert(1)>bold</b>',
    ],
)
def test_a_hostile_name_is_shown_as_text(visit: Callable[..., Visit], name: str) -> None:
    seen = visit()
    page = seen.page
    live(page)
    fill(page, name)
    page.click("#ask button")
    row = row_of(page, name)
    row.get_by_text("ACCEPTED", exact=True).wait_for(timeout=10_000)
    assert row.locator("b").first.inner_text() == name
    page.reload()
    assert row_of(page, name).locator("b").first.inner_text() == name
    assert page.locator("#reservations script, #reservations img, #reservations b b").count() == 0


def test_the_page_works_without_a_script(visit: Callable[..., Visit]) -> None:
    page = visit(java_script_enabled=False).page
    page.fill("#guest", "Plain Visitor")
    page.click("#ask button")
    assert "Asked for." in page.locator("#notice").inner_text()
    assert page.locator("#reservations tr").first.inner_text().startswith("Plain Visitor")
    page.wait_for_timeout(1500)
    page.goto(page.url.removesuffix("reservations"))
    row = row_of(page, "Plain Visitor")
    assert "ACCEPTED" in row.inner_text()
    row.get_by_role("button", name="Cancel").click()
    assert "on its way" in page.locator("#notice").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_it_fits_and_can_be_read(visit: Callable[..., Visit], scheme: str, size: str) -> None:
    options: dict[str, Any] = {"color_scheme": scheme}
    if size == "phone":
        options |= {"viewport": PHONE, "has_touch": True, "device_scale_factor": 2}
    seen = visit(**options)
    page = seen.page
    live(page)
    seen.picture(f"{size}-{scheme}")
    wide, width = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= width
    assert page.evaluate(CONTRAST) == []
    unlabelled = page.locator("input:not([type=hidden]), select").evaluate_all(
        "all => all.filter(one => !one.labels.length).map(one => one.name)"
    )
    assert unlabelled == []


def test_it_finds_the_desk_again_after_a_restart(
    visit: Callable[..., Visit], tmp_path: Path
) -> None:
    other = Demo(tmp_path / "other.db", "--bookings", "none", "--pause", "0.1")
    other.start()
    try:
        page = visit(other.url).page
        live(page)
        fill(page, "Before the Stop")
        page.click("#ask button")
        accepted = row_of(page, "Before the Stop").get_by_text("ACCEPTED", exact=True)
        accepted.wait_for(timeout=10_000)
        assert other.stop() == 0
        page.locator("#link.lost").wait_for(timeout=10_000)
        fill(page, "While it is Down")
        page.click("#ask button")
        page.locator("#notice.wrong").get_by_text("cannot be reached").wait_for(timeout=10_000)
        other.start()
        live(page)
        page.click("#ask button")
        again = row_of(page, "While it is Down").get_by_text("ACCEPTED", exact=True)
        again.wait_for(timeout=10_000)
        assert page.locator("#reservations tr").count() == 2
    finally:
        other.stop()


def test_the_demo_ends_in_order_while_a_page_is_open(
    visit: Callable[..., Visit], tmp_path: Path
) -> None:
    other = Demo(tmp_path / "other.db", "--bookings", "none")
    other.start()
    live(visit(other.url).page)
    assert other.stop(signal.SIGINT) == 0
    assert not [line for line in other.said if "Traceback" in line or "ERROR" in line]


# Text with too little contrast (WCAG AA, 4.5), or 3 where it is large; ours is never on a picture.
CONTRAST = """() => {
  const channel = (c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const parse = (text) => {
    const parts = text.match(/[\\d.]+/g).map(Number);
    return [parts[0], parts[1], parts[2], parts.length > 3 ? parts[3] : 1];
  };
  const over = (top, below) => [0, 1, 2].map((n) => top[n] * top[3] + below[n] * (1 - top[3]));
  const behind = (element) => {
    if (!element) return [255, 255, 255];
    const own = parse(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own.slice(0, 3) : over(own, behind(element.parentElement));
  };
  const poor = new Set();
  for (const element of document.querySelectorAll("body *:not(script)")) {
    if (element.closest("svg, .unseen, .skip, [disabled]")) continue;
    const text = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!text || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const back = behind(element);
    const [a, b] = [light(over(parse(style.color), back)), light(back)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const large = parseFloat(style.fontSize) >= 24;
    if (ratio < (large ? 3 : 4.5)) {
      poor.add(`${element.tagName}.${element.className} ${ratio.toFixed(2)}`);
    }
  }
  return [...poor];
}"""

"""An app for programs without an event loop of their own: scripts, Flask, Django.

The app runs in one loop in one thread of its own; each call is handed over to it and waited for.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, suppress
from functools import partial, wraps
from inspect import signature
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

from diptych.adapters.worker import WorkerThread
from diptych.app import App
from diptych.errors import Fault, NestedCall, NotOpen, TimedOut, WouldBlock
from diptych.message import ANONYMOUS, Principal
from diptych.subscription.feed import Log
from diptych.write.joining import JoinUnit

__all__ = ["BlockingApp", "BlockingLog", "sync"]

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")

PAGE = 500
"""Events that cross over to the caller's thread at a time."""

GLANCE = 0.5
"""Seconds after which a waiting thread looks up: a signal that comes just before it begins to wait
does not wake it, and its handler would run only at the end."""

PATIENCE = 5.0
"""Seconds that calls under way are given to end when the app is left."""

OUTSIDE = "is not open. Use it inside `with diptych.sync(app) as …:`."
LEFT = (
    "was left while this call was under way; a command may have taken effect. Open it again, and "
    "send a command again with the same id: it happens once."
)
FORKED = (
    "was opened before this process was forked, and its thread did not come along. Fork first, "
    "then open it in each process (gunicorn: in post_fork, or without preload)."
)


def sync(app: App, *, timeout: float | None = None) -> BlockingApp:
    """The same app with calls that block: `with sync(app) as blocking:`.

    It may be shared by any number of threads; what they do at the same time is committed together.
    While it is open, it alone uses the app.

    Args:
        timeout: Seconds that a call may take before its caller is told `TimedOut`. None: as long
            as it takes.
    """
    return BlockingApp(app, timeout=timeout)


class _Facade(Generic[S]):
    """What carries out the calls of an asynchronous subject."""

    def _run(self, name: str, act: Callable[[S], Awaitable[T]], *, endless: bool = False) -> T:
        """Carries `act` out in the loop.

        Args:
            endless: Waits for what may never come: no time-out ends it, leaving the app does.
        """
        raise NotImplementedError


def _blocking(
    call: Callable[Concatenate[S, P], Awaitable[T]],
) -> Callable[Concatenate[_Facade[S], P], T]:
    """A call of the subject, waited for."""

    @wraps(call)
    def wait(self: _Facade[S], /, *args: P.args, **kwargs: P.kwargs) -> T:
        def act(subject: S) -> Awaitable[T]:
            return call(subject, *args, **kwargs)

        return self._run(call.__name__, act)  # pyright: ignore[reportPrivateUsage]

    return _signed(wait, call)


def _iterating(
    call: Callable[Concatenate[S, P], AsyncIterator[T]], *, page: int, endless: bool = False
) -> Callable[Concatenate[_Facade[S], P], Iterator[T]]:
    """A call of the subject that gives items, fetched `page` at a time."""

    @wraps(call)
    def iterate(self: _Facade[S], /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        def begin(subject: S) -> AsyncIterator[T]:
            return call(subject, *args, **kwargs)

        # Where the caller stops early, the last reference to the asynchronous iterator goes with
        # this frame, and asyncio closes it in its loop.
        fetch = _Pages(begin, page).fetch
        run = self._run  # pyright: ignore[reportPrivateUsage]
        while items := run(call.__name__, fetch, endless=endless):
            yield from items

    return _signed(iterate, call)


def _signed(blocking: Callable[P, T], call: Callable[..., Any]) -> Callable[P, T]:
    """Lets `help()` show what it gives, not what is awaited."""
    given = str(signature(call).return_annotation).removeprefix("Async")
    if given.startswith("Coroutine[Any, Any, "):
        given = given.removeprefix("Coroutine[Any, Any, ")[:-1]
    blocking.__annotations__["return"] = given
    blocking.__dict__["__signature__"] = signature(call).replace(return_annotation=given)
    return blocking


class BlockingLog(_Facade[Log]):
    """The log of a context, for reading. See `Log`."""

    def __init__(self, app: _Facade[App]) -> None:
        self._app = app

    read = _iterating(Log.read, page=PAGE)
    follow = _iterating(Log.follow, page=1, endless=True)
    head = _blocking(Log.head)

    def _run(self, name: str, act: Callable[[Log], Awaitable[T]], *, endless: bool = False) -> T:
        return self._app._run(f"log.{name}", lambda app: act(app.log), endless=endless)


class BlockingApp(_Facade[App]):
    """An app whose calls block; made by `sync`. See `App` for what each of them means.

    Any thread may call it, except for one in which an event loop runs. Who is interrupted while
    waiting (Ctrl-C, a signal's handler that raises) gives up that call and no other.
    """

    def __init__(self, app: App, *, timeout: float | None = None) -> None:
        self.name = app.name
        self.store = app.store
        self.wiring = app.wiring
        self._app = app
        self._timeout = threading.TIMEOUT_MAX if timeout is None else timeout
        self._lock = threading.Lock()
        self._open: _LoopThread | None = None

    execute = _blocking(App.execute)
    ask = _blocking(App.ask)
    answer = _blocking(App.answer)
    settled = _blocking(App.settled)

    def join(
        self, session: Any, *, principal: Principal | None = None
    ) -> AbstractContextManager[JoinUnit]:
        """Records events inside an SQLAlchemy transaction that the caller owns, in its own thread.

            with sessions.begin() as session, blocking.join(session) as unit:
                session.add(order)
                unit.record(OrderPlaced("o1"), stream="order:o1")

        Args:
            session: A Session (not an AsyncSession) on the store's own database.

        Raises:
            JoinFailed, ForeignStore, StreamConflict: As `App.join`.
        """
        self._opened.refuse("join")
        return self._app.joining.join_now(session, principal or ANONYMOUS)

    @property
    def log(self) -> BlockingLog:
        """The log of this context, for reading."""
        self._opened.refuse_fork()
        return BlockingLog(self)

    def __enter__(self) -> Self:
        _refuse_running_loop("entering sync(app)")
        if self._open is not None:
            self._open.refuse_fork()
        with self._lock:
            if self._open is not None:
                raise Fault(f"app {self.name!r} is open already. Enter it once, and share it.")
            opened = self._open = _LoopThread(self._app)
        try:
            opened.start()
        except BaseException:
            self._open = None
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        opened = self._open
        if opened is None or opened.is_forked:
            return  # a child that inherited it owns nothing of it
        opened.refuse_own_thread("__exit__")
        with self._lock:
            if self._open is not opened:
                return
            self._open = None
        opened.stop()

    @property
    def _opened(self) -> _LoopThread:
        if self._open is None:
            raise NotOpen(self.name, OUTSIDE)
        return self._open

    def _run(self, name: str, act: Callable[[App], Awaitable[T]], *, endless: bool = False) -> T:
        timeout = threading.TIMEOUT_MAX if endless else self._timeout
        return self._opened.run(name, partial(act, self._app), timeout=timeout, endless=endless)


class _Pages(Generic[S, T]):
    """The items of an asynchronous iterator, some at a time; it is begun by the first fetch."""

    def __init__(self, begin: Callable[[S], AsyncIterator[T]], size: int) -> None:
        self._begin = begin
        self._size = size
        self._items: AsyncIterator[T] | None = None
        self._error: Exception | None = None

    async def fetch(self, subject: S) -> list[T]:
        """The next ones; none at the end."""
        if self._error is not None:
            raise self._error
        if self._items is None:
            self._items = self._begin(subject)
        page: list[T] = []
        try:
            async for item in self._items:
                page.append(item)
                if len(page) == self._size:
                    break
        except Exception as error:
            if not page:
                raise
            self._error = error  # what came before it is given first
        return page


class _Call(Generic[T]):
    """One call on its way."""

    __slots__ = ("act", "done", "endless", "error", "name", "task", "value")

    value: T
    error: BaseException | None

    def __init__(self, name: str, act: Callable[[], Awaitable[T]], endless: bool) -> None:
        self.name = name
        self.act = act
        self.endless = endless
        self.done = threading.Event()
        self.task: asyncio.Task[tuple[T | None, BaseException | None]] | None = None

    async def carry_out(self) -> tuple[T | None, BaseException | None]:
        """An error is handed on as a value: SystemExit would end the loop, and every other call."""
        try:
            return await self.act(), None
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            return None, error


class _LoopThread:
    """An app, open in a loop of its own, in a thread of its own."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._process = os.getpid()
        self._loop = asyncio.new_event_loop()
        # A daemon, so that a program may also close it when the interpreter exits.
        self._thread = threading.Thread(target=self._work, name=f"diptych {app.name}", daemon=True)
        self._lock = threading.RLock()  # a signal's handler may call while it interrupts a call
        """Held while a call is handed over, so that none comes after the last."""
        self._leaving = False
        self._leave = asyncio.Event()
        self._calls: dict[asyncio.Task[Any], _Call[Any]] = {}
        self._opened = threading.Event()
        self._ended = threading.Event()
        self._failure: BaseException | None = None

    def start(self) -> None:
        """Returns when the app is open.

        Raises:
            StoreFault: It could not be opened; the thread has ended.
        """
        try:
            self._thread.start()
            self._opened.wait()
        except BaseException:
            if self._thread in threading.enumerate():
                self._end()
            else:  # no thread could be had
                self._loop.close()
            raise
        if self._failure is not None:
            self._end()
            raise self._failure

    def stop(self) -> None:
        """Closes the app; returns when its thread has ended.

        Raises:
            BaseException: What the app failed of, at the end or before.
        """
        self._end()
        if self._failure is not None:
            raise self._failure

    def run(
        self, name: str, act: Callable[[], Awaitable[T]], *, timeout: float, endless: bool
    ) -> T:
        """Carries `act` out in the loop, and waits for it in the caller's thread."""
        self.refuse(name)
        call = _Call(name, act, endless)
        try:
            self._hand_over(call)
            in_time = _waited(call.done, timeout)
        except BaseException:
            self._give_up(call)
            raise
        if not in_time:
            self._give_up(call)
            raise TimedOut(name, timeout)
        error = call.error
        if error is None:
            return call.value
        try:
            raise error
        finally:
            del error, call  # the error's traceback holds this frame

    def refuse(self, name: str) -> None:
        """Refuses a call where it could not end, or where others would have to wait for it."""
        self.refuse_fork()
        self.refuse_own_thread(name)
        _refuse_running_loop(f"app.{name}")

    @property
    def is_forked(self) -> bool:
        """Whether this is a child of the process that opened it."""
        return os.getpid() != self._process

    def refuse_fork(self) -> None:
        """A child has neither the thread nor a safe hold on the files."""
        if self.is_forked:
            raise NotOpen(self._app.name, FORKED)

    def refuse_own_thread(self, name: str) -> None:
        """What runs in the loop (a decision, an answer) or in a commit would wait for itself."""
        thread = threading.current_thread()
        if thread is self._thread or isinstance(thread, WorkerThread):
            raise NestedCall(name)

    # In the thread of its own.

    def _work(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._keep_open())
        except BaseException as error:
            self._failure = error
        finally:
            self._opened.set()
            self._ended.set()

    async def _keep_open(self) -> None:
        try:
            async with self._app:
                self._opened.set()
                try:
                    await self._leave.wait()
                finally:
                    await self._finish_calls()
        finally:
            await self._finish_calls()  # where it could not be opened

    async def _finish_calls(self) -> None:
        """Takes no more, and lets the calls under way end; gives up those that do not."""
        with self._lock:
            self._leaving = True
        await asyncio.sleep(0)  # those that were handed over last have begun
        for task, call in self._calls.items():
            if call.endless:
                task.cancel()
        if self._calls:
            _, late = await asyncio.wait(self._calls, timeout=PATIENCE)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def _begin(self, call: _Call[Any]) -> None:
        task = call.task = self._loop.create_task(call.carry_out(), name=f"diptych {call.name}")
        self._calls[task] = call
        task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[Any]) -> None:
        call = self._calls.pop(task)
        if task.cancelled():
            call.error = NotOpen(self._app.name, LEFT)
        else:
            call.value, call.error = task.result()
        call.done.set()

    # In the caller's.

    def _hand_over(self, call: _Call[Any]) -> None:
        with self._lock:
            if self._leaving:
                raise NotOpen(self._app.name, OUTSIDE) from self._failure
            self._loop.call_soon_threadsafe(self._begin, call)

    def _give_up(self, call: _Call[Any]) -> None:
        def cancel() -> None:
            if call.task is not None:  # it was handed over before
                call.task.cancel()

        with suppress(RuntimeError):  # the loop is closed: the call has ended
            self._loop.call_soon_threadsafe(cancel)

    def _end(self) -> None:
        with self._lock:
            if not self._leaving:
                self._leaving = True
                self._loop.call_soon_threadsafe(self._leave.set)
        self._ended.wait()
        self._thread.join()


def _refuse_running_loop(call: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise WouldBlock(call)


def _waited(event: threading.Event, timeout: float) -> bool:
    """Whether it is set in time."""
    until = time.monotonic() + timeout
    while not event.wait(min(GLANCE, max(until - time.monotonic(), 0.0))):
        if time.monotonic() >= until:
            return event.is_set()
    return True

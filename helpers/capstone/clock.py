"""Time that is fair on every machine, and its end.

Seconds say more about a machine, and about who else uses it, than about a design. So time is the processor time of the
training thread, and it is counted in steps of the default design that run in turns with it. What slows down one slows
down the other, but not by as much: beside other programs, steps of 1 ms were found to take 1.7 times as long, and those
of the default design, of 9 ms, hardly longer. So where all steps do the same work, the quickest of each is compared.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

T = TypeVar("T")
CAN_INTERRUPT = hasattr(signal, "setitimer")
#: Windows counts a thread's time in ticks of 16 ms, so there only long stretches can be told apart.
TELLS_SHORT_TIMES = os.name != "nt"
_AGAIN = 0.5  # seconds after which a call that swallowed the end is told again


class TimeIsUp(BaseException):
    """Raised inside a network that does not come back. No `except Exception` on the way takes it for an error."""


class Stopwatch:
    """Adds up what the stretches in ``with watch.running():`` took, in seconds."""

    def __init__(self) -> None:
        self.thread = 0.0  #: processor time of this thread
        self.least = float("inf")  #: of the stretch that took this thread the least
        self.process = 0.0  #: of all threads of this process, and of the processes that it waited for
        self.clock = 0.0  #: as on the wall
        self.waited = 0.0  #: of these, those in which this thread was ready and others had the processor; see `_waited`

    @contextmanager
    def running(self, whole: bool = True) -> Iterator[None]:
        """Count what happens meanwhile; `whole`: whether it is a stretch as long as the others."""
        waited, thread, process, clock = _waited(), time.thread_time(), _of_all(), time.perf_counter()
        try:
            yield
        finally:
            took = time.thread_time() - thread
            self.thread += took
            self.least = min(self.least, took) if whole else self.least
            self.process += _of_all() - process
            self.clock += time.perf_counter() - clock
            self.waited += _waited() - waited

    @property
    def others(self) -> float:
        """Processor time that was not this thread's."""
        return max(self.process - self.thread, 0.0)


def _of_all() -> float:
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def _waited() -> float:
    """Seconds that this thread was ready to compute, and had no processor; 0.0 where the system does not tell."""
    try:
        with open("/proc/thread-self/schedstat", encoding="ascii") as file:  # of Linux: two times in ns, and a number
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


class Deadline:
    """So many seconds on the clock, from ``with deadline:`` on; `call` ends what takes longer, where that is possible.

    Python can interrupt only its main thread, and not on Windows: elsewhere a call that never ends is not ended.
    """

    def __init__(self, seconds: float):
        self.seconds = seconds
        self.interrupts = CAN_INTERRUPT and threading.current_thread() is threading.main_thread()

    def __enter__(self) -> "Deadline":
        self._end = time.perf_counter() + self.seconds
        if self.interrupts:
            self._before = signal.signal(signal.SIGALRM, self._ring)
            self._timer_before = signal.setitimer(signal.ITIMER_REAL, self.seconds, _AGAIN)
        return self

    def __exit__(self, *_: object) -> None:
        if self.interrupts:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._before)
            if self._timer_before[0]:  # somebody else's timer goes on
                left = self._timer_before[0] - (time.perf_counter() - self._end + self.seconds)
                signal.setitimer(signal.ITIMER_REAL, max(left, 1e-3), self._timer_before[1])

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return time.perf_counter() >= self._end

    def call(self, work: Callable[..., T], *arguments: object) -> T:
        """`work(*arguments)`; raises `TimeIsUp` in the middle of it when the time is up."""
        return _told_when_time_is_up(work, *arguments)

    def _ring(self, _: int, frame: FrameType | None) -> None:
        """Raise, but only inside `call`: what the judge itself does is not cut in two."""
        while frame is not None:
            if frame.f_code is _told_when_time_is_up.__code__:
                raise TimeIsUp
            frame = frame.f_back


def _told_when_time_is_up(work: Callable[..., T], *arguments: object) -> T:
    return work(*arguments)

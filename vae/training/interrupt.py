"""Signals as a flag that a training loop asks between chunks, so that it can save before it leaves."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from signal import SIG_DFL, SIGINT, SIGTERM, Signals
from signal import signal as set_handler
from types import FrameType


@dataclass
class Interruption:
    """Whether somebody asked the process to stop.

    signal: the first signal that asked, None while nobody has.
    """

    signal: Signals | None = None

    @property
    def requested(self) -> bool:
        """True once SIGINT or SIGTERM has arrived."""
        return self.signal is not None


@contextmanager
def interruptions() -> Iterator[Interruption]:
    """Turn SIGINT (Ctrl-C) and SIGTERM into `stop.requested` while the block runs; earlier handlers come back after it.

        with interruptions() as stop:
            for chunk in chunks:
                state = run(chunk, state)
                if stop.requested:
                    break

    A second Ctrl-C raises KeyboardInterrupt at once, for whoever does not want to wait. Python lets only the main thread set
    handlers: in another thread the flag exists and stays down.
    """
    stop = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    handler = _handler(stop)
    previous = {number: set_handler(number, handler) for number in (SIGINT, SIGTERM)}
    try:
        yield stop
    finally:
        for number, earlier in previous.items():
            # None stands for a handler that was not set from Python and cannot be set from it again.
            set_handler(number, SIG_DFL if earlier is None else earlier)


def exit_code(number: int) -> int:
    """128 + signum, what a shell reports of a process that a signal ended (130 for Ctrl-C, 143 for SIGTERM)."""
    return 128 + int(number)


def _handler(stop: Interruption) -> Callable[[int, FrameType | None], None]:
    interrupted = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        if number == SIGINT and interrupted:
            raise KeyboardInterrupt
        interrupted = interrupted or number == SIGINT
        stop.signal = stop.signal or Signals(number)

    return handle

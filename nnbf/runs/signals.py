"""Stopping on request: Ctrl-C and SIGTERM end a run after its current step, with a result."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any


class StopRequest:
    """Context in which SIGINT and SIGTERM set a flag instead of ending the process.

    Call it to ask whether to stop. A second Ctrl-C raises KeyboardInterrupt at once. Outside the
    main thread signals cannot be caught: there, only `request` stops.

    Example:
        >>> with StopRequest() as stop:
        ...     stop.request("SIGTERM")
        ...     stop()
        True
    """

    def __init__(self, announce: Callable[[str], None] | None = None) -> None:
        self.reason: str | None = None
        self._announce = announce
        self._previous: dict[signal.Signals, Any] = {}

    def __call__(self) -> bool:
        """Return whether a stop was asked for."""
        return self.reason is not None

    def request(self, reason: str) -> None:
        """Ask for a stop after the current step."""
        self.reason = reason
        if self._announce is not None:
            self._announce(reason)

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.reason is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.request(signal.Signals(number).name)

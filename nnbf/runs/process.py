"""The process that computes: its versions, machine and memory, and the signals that ask it to stop."""

import contextlib
import os
import platform
import resource
import signal
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Any

_DISTRIBUTIONS = ("jax", "jaxlib", "netket", "flax", "numpy", "scipy", "numba", "pyscf", "openfermion")
_ROOT = Path(__file__).resolve().parents[2]


def versions() -> dict[str, str | None]:
    """Return versions by name; None for what is not installed."""
    found: dict[str, str | None] = {"nnbf": program_version(), "python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def program_version() -> str:
    """Return the version of nnbf, also from a checkout that is not installed."""
    try:
        return metadata.version("nnbf")
    except metadata.PackageNotFoundError:
        project = _ROOT / "pyproject.toml"
        if project.is_file():
            return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
        return "unknown"


def git_state() -> dict[str, Any] | None:
    """Return {"commit", "modified"} of the checkout that nnbf runs from, or None outside of one."""
    if not (_ROOT / ".git").exists():
        return None
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--untracked-files=no")
    if commit is None:
        return None
    return {"commit": commit, "modified": None if changes is None else bool(changes)}


def hardware() -> dict[str, Any]:
    """Return what kind of machine this is, without its name: processor, cores, system.

    JAX is not asked for its devices: that would take them, before the processes that compute do.
    """
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
    }


class MemoryMeter:
    """The highest resident memory of this process since the meter was made."""

    def __init__(self) -> None:
        """Start, from the present memory where the system can (Linux), else from the highest so far."""
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        self._before = _peak_mb()

    def record(self) -> dict[str, float]:
        """Return megabytes (1e6 bytes): of the process at its highest, and what has been added since."""
        peak = _peak_mb()
        return {"peak_memory_mb": round(peak, 1), "memory_mb": round(peak - self._before, 1)}


class StopRequest:
    """Context in which SIGINT and SIGTERM set a flag instead of ending the process.

    Call it to ask whether to stop. A second Ctrl-C raises KeyboardInterrupt at once, and again at the next
    call or at the end of the context: raised in a callback of a library, it may go no further. Outside the
    main thread signals cannot be caught: there, only `request` stops.

    Example:
        >>> with StopRequest() as stop:
        ...     stop.request("SIGTERM")
        ...     stop()
        True
    """

    def __init__(self, announce: Callable[[str], None] | None = None) -> None:
        self.reason: str | None = None
        self._at_once = self._waits = False
        self._announce = announce
        self._previous: dict[signal.Signals, Any] = {}

    def __call__(self) -> bool:
        """Return whether a stop was asked for.

        Raises:
            KeyboardInterrupt: It is to be at once.
        """
        if self._at_once:
            raise KeyboardInterrupt
        return self.reason is not None

    def request(self, reason: str) -> None:
        """Ask for a stop after the current step."""
        self.reason = reason
        if self._announce is not None:
            # In a handler of signals, in the middle of anything: of printing, too, or nobody reads any more.
            with contextlib.suppress(Exception):
                self._announce(reason)

    @contextlib.contextmanager
    def unbroken(self) -> Iterator[None]:
        """Context that a second Ctrl-C does not break off; it ends what comes after.

        Raises:
            KeyboardInterrupt: At the end, where the second one came meanwhile.
        """
        self._waits = True
        try:
            yield
        finally:
            self._waits = False
        if self._at_once:
            raise KeyboardInterrupt

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
            self._hook, sys.unraisablehook = sys.unraisablehook, self._unraisable
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if self._previous:
            sys.unraisablehook = self._hook
        self._previous.clear()
        if self._at_once and error[0] is not KeyboardInterrupt:  # libraries make other errors of it
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.reason is not None and number == signal.SIGINT:
            self._at_once = True
            if self._waits:
                return
            raise KeyboardInterrupt
        self.request(signal.Signals(number).name)

    def _unraisable(self, what: Any) -> None:
        if what.exc_type is not KeyboardInterrupt:  # which comes again
            self._hook(what)


def _peak_mb() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def _processor() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return platform.processor() or None
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, None) or platform.processor() or None


def _git(*arguments: str) -> str | None:
    # Optional locks: asking for the state of a checkout must not write to it.
    command = ["git", "-C", str(_ROOT), "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None

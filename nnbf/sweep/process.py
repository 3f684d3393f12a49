"""A point as a process: the program itself is run for it, and what becomes of it is written down."""

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from nnbf.sweep.point_lock import release_lock, take_lock
from nnbf.sweep.points import Point
from nnbf.sweep.sweep_folder import FINAL, PointState, SweepFolder, end_of_file, result_of
from nnbf.sweep.warm import PASSED_OVER

_PROMPT = "$ "
_TAIL = 65536


class PointRun:
    """A point that is being computed."""

    def __init__(
        self, folder: SweepFolder, point: Point, lock: int, process: subprocess.Popen, resumed: bool
    ) -> None:
        """Take over a process; use `begin`."""
        self.point = point
        """The point."""
        self.resumed = resumed
        """True where an earlier attempt is gone on with."""
        self.started = time.monotonic()
        """Time of the start."""
        self.interrupted = False
        """True where it was stopped by somebody else, as by a cluster that makes room."""
        self._folder, self._lock, self._process = folder, lock, process
        self._stopping = False

    @classmethod
    def begin(
        cls,
        folder: SweepFolder,
        point: Point,
        program: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        more_words: Sequence[str] = (),
    ) -> "PointRun | PointState | None":
        """Start a point, or go on with it.

        Args:
            folder: Folder of the sweep.
            point: The point.
            program: What runs `nnbf`: its command is appended.
            environment: Variables on top of our own.
            more_words: Further words for a point that is started, and not resumed.

        Returns:
            The running point; its state where nothing is to be done; None where another process is working
            on it.

        Raises:
            OSError: Something cannot be written, or the program cannot be started.
        """
        lock = take_lock(folder.lock_file(point))
        if lock is None:
            return None
        try:
            state = folder.state(point)
            if state.done or state.status == "changed":
                release_lock(lock)
                return state
            run = folder.run(point)
            folder.remove_stub(point)
            resumed = (run / "config.json").is_file()
            words = ["resume", str(run)] if resumed else [*point.words, *more_words, f"--out={run}"]
            # A run may have failed, and the sweep been killed before it could take note.
            broken = {PASSED_OVER: True} if result_of(run).get("status") == "failed" else {}
            attempts = int(folder.record(point).get("attempts", 0)) + 1
            folder.write_record(point, attempts=attempts, failure=None, **broken)
            with folder.log_file(point).open("a", encoding="utf-8") as log:
                log.write(f"{_PROMPT}{shlex.join(['nnbf', *words])}\n")
                log.flush()
                process = subprocess.Popen(
                    [*program, *words],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **(environment or {})},
                    # Ctrl-C reaches the sweep alone, which passes it on in its own way.
                    start_new_session=True,
                    pass_fds=(lock,),
                )
        except BaseException:
            release_lock(lock)
            raise
        return cls(folder, point, lock, process, resumed)

    def poll(self) -> PointState | None:
        """Return how the point ended, or None while it runs; to be called until it has."""
        code = self._process.poll()
        if code is None:
            return None
        failure = self._failure(code)
        # A signal is an accident, an error is not: the point would break off there again.
        broken = {PASSED_OVER: True} if failure is not None and code > 0 else {}
        spent = float(self._folder.record(self.point).get("process_s", 0.0))
        seconds = round(spent + time.monotonic() - self.started, 3)
        try:
            self._folder.write_record(
                self.point, failure=failure, process_s=seconds, ended=time.time(), **broken
            )
            return self._folder.state(self.point)
        finally:
            release_lock(self._lock)

    def stop(self) -> None:
        """Ask the process to save itself and end; once."""
        if not self._stopping:
            self._stopping = True
            self._signal(signal.SIGTERM)

    def interrupt(self) -> None:
        """Ask the process to end at once; it may still write its records."""
        if not self._stopping:
            self.stop()
            time.sleep(0.2)  # of two signals at once the other one would be handled first
        self._signal(signal.SIGINT)

    def finish(self, patience: float = 10.0) -> None:
        """Wait for the end of an interrupted process, and kill it if that takes too long."""
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wait_in_handler(self, patience: float) -> None:
        """Wait for the end from within a signal handler, where locks must not be taken."""
        deadline = time.monotonic() + patience
        with contextlib.suppress(ChildProcessError):  # it has been waited for
            while time.monotonic() < deadline:
                if os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                    return
                time.sleep(0.05)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def _failure(self, code: int) -> str | None:
        run = self._folder.run(self.point)
        result = result_of(run)
        if self._stopping or (code == 0 and result.get("status") in FINAL):
            return None
        if code == 0 and result.get("status") == "interrupted":
            self.interrupted = True
            return f"stopped by {result.get('stopped_by') or 'a signal'}: run the sweep again to go on"
        said = _last_error(self._folder.log_file(self.point))
        if code < 0 and not said:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            said = f"killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
        return (said or f"exit code {code} without a result").replace(str(run), self.point.name)


class SweepObserver:
    """Follows a sweep; this one ignores everything, and others override what they want to know."""

    def started(self, point: Point, resumed: bool) -> None:
        """Take note that a point was started, or is gone on with."""

    def ended(self, point: Point, state: PointState) -> None:
        """Take note that a point is over: done, failed or stopped."""

    def elsewhere(self, points: Sequence[Point]) -> None:
        """Take note that nothing is left but these points, which another process is working on."""

    def running(self, runs: Sequence[PointRun]) -> None:
        """Take note of what is being computed; called several times a second."""


def _last_error(log: Path) -> str | None:
    """Return the last line of the last attempt that begins with "error:", without that; else the last one."""
    lines = end_of_file(log, _TAIL).decode("utf-8", "replace").split("\n")
    starts = [index for index, line in enumerate(lines) if line.startswith(_PROMPT)]
    lines = [line.strip() for line in lines[starts[-1] + 1 if starts else 0 :] if line.strip()]
    errors = [line.removeprefix("error:").strip() for line in lines if line.startswith("error:")]
    found = errors or lines
    return found[-1] if found else None

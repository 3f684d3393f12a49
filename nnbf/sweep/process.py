"""A point as a process: the program itself is run for it, and what becomes of it is written down."""

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from nnbf.runs.directory import RunDirectory
from nnbf.sweep.folder import FINAL, PointState, SweepFolder
from nnbf.sweep.lock import PointLock
from nnbf.sweep.points import Point
from nnbf.sweep.warm import PASSED_OVER

_PROMPT = "$ "
_TAIL = 65536


class PointRun:
    """A point that is being computed."""

    def __init__(
        self, folder: SweepFolder, point: Point, lock: PointLock, process: subprocess.Popen, resumed: bool
    ) -> None:
        """Take over a process; use `begin`."""
        self.folder = folder
        self.point = point
        """What is computed."""
        self.resumed = resumed
        """Whether an earlier attempt is gone on with."""
        self.started = time.monotonic()
        """When."""
        self.interrupted = False
        """Whether it was stopped by somebody else, as by a cluster that makes room."""
        self._lock = lock
        self._process = process
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
            folder: Where.
            point: Which.
            program: What runs `nnbf`: its command is appended.
            environment: Variables on top of our own.
            more_words: Further words for a point that is started, and not resumed.

        Returns:
            The running point; its state where nothing is to be done; None where another process is working
            on it.

        Raises:
            OSError: Something cannot be written, or the program cannot be started.
        """
        lock = PointLock.take(folder.lock_file(point))
        if lock is None:
            return None
        try:
            state = folder.state(point)
            if state.done or state.status == "changed":
                lock.release()
                return state
            run = folder.run(point)
            folder.remove_stub(point)
            resumed = (run / "config.json").is_file()
            words = ["resume", str(run)] if resumed else [*point.words, *more_words, f"--out={run}"]
            attempts = int(folder.record(point).get("attempts", 0)) + 1
            folder.write_record(point, attempts=attempts, failure=None, **_broken_off(run))
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
                    pass_fds=(lock.descriptor,),
                )
        except BaseException:
            lock.release()
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
        spent = float(self.folder.record(self.point).get("process_s", 0.0))
        try:
            self.folder.write_record(
                self.point,
                failure=failure,
                process_s=round(spent + time.monotonic() - self.started, 3),
                ended=time.time(),
                **broken,
            )
            return self.folder.state(self.point)
        finally:
            self._lock.release()

    def stop(self) -> None:
        """Ask the process to save itself and end."""
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

    def wait_in_handler(self, patience: float) -> bool:
        """Wait for the end from within a signal handler, where locks must not be taken; say if it came."""
        deadline = time.monotonic() + patience
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while time.monotonic() < deadline:
            try:
                if os.waitid(os.P_PID, self._process.pid, flags) is not None:
                    return True
            except ChildProcessError:  # it has been waited for
                return True
            time.sleep(0.05)
        return False

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def _failure(self, code: int) -> str | None:
        result = RunDirectory(self.folder.run(self.point)).read_result_or_none() or {}
        if self._stopping or (code == 0 and result.get("status") in FINAL):
            return None
        if code == 0 and result.get("status") == "interrupted":
            self.interrupted = True
            return f"stopped by {result.get('stopped_by') or 'a signal'}: run the sweep again to go on"
        said = last_error(self.folder.log_file(self.point))
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            said = said or f"killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
        return (said or f"exit code {code} without a result").replace(
            str(self.folder.run(self.point)), self.point.name
        )


def _broken_off(run: Path) -> dict[str, bool]:
    """Say so where a run has failed, and the sweep was killed before it could take note."""
    result = RunDirectory(run).read_result_or_none() or {}
    return {PASSED_OVER: True} if result.get("status") == "failed" else {}


def last_error(log: Path) -> str | None:
    """Return the last line of the last attempt that begins with "error:", without that; else the last one."""
    try:
        with log.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - _TAIL))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return None
    lines = text.split("\n")
    starts = [index for index, line in enumerate(lines) if line.startswith(_PROMPT)]
    lines = [line.strip() for line in lines[starts[-1] + 1 if starts else 0 :] if line.strip()]
    errors = [line.removeprefix("error:").strip() for line in lines if line.startswith("error:")]
    return errors[-1] if errors else (lines[-1] if lines else None)


def read_attempts(folder: SweepFolder, point: Point) -> tuple[int, float]:
    """Return how often a point was started, and the seconds that its processes took."""
    record = folder.record(point)
    return int(record.get("attempts", 0)), float(record.get("process_s", 0.0))

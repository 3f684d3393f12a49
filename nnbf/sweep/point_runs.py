"""Points as processes: the program itself is run for each, and what becomes of it is written down."""

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nnbf._processes import VARIABLE
from nnbf._runtime import PARENT_PIPE
from nnbf.sweep.points import Point
from nnbf.sweep.sweep_folder import (
    FINAL,
    PASSED_OVER,
    PointState,
    SweepFolder,
    end_of_file,
    release_lock,
    result_of,
    take_lock,
)
from nnbf.sweep.sweep_plan import SweepPlan, start_words
from nnbf.sweep.table import tables_kept

_PROMPT = "$ "
_TAIL = 65536
_POLL = 0.05  # seconds
_AGAIN = 1.0  # seconds between two looks at a point that another process holds
_INTERRUPTED = 130  # exit code after Ctrl-C at once

MoreWords = Callable[[Point], Sequence[str] | None]
"""Gives words for the command of a point that is about to start, such as where to start it from; None where
that is not there, and the point has to be left for another time."""


class PointRun:
    """A point that is being computed."""

    def __init__(
        self,
        folder: SweepFolder,
        point: Point,
        lock: int,
        process: subprocess.Popen,
        resumed: bool,
        alive: int,
    ) -> None:
        """Take over a process, its lock and the pipe that it watches; use `begin`."""
        self.point = point
        self.resumed = resumed
        """True where an earlier attempt is gone on with."""
        self.started = time.monotonic()
        self.interrupted = False
        """True where it was stopped by somebody else, as by a cluster that makes room."""
        self._folder, self._lock, self._process, self._alive = folder, lock, process, alive
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
        watched, alive = os.pipe()
        try:
            state = folder.state(point)
            if state.done or state.status == "changed":
                os.close(alive)
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
                    # In one process, whatever the queue has begun us with, unless it is said otherwise.
                    env={**os.environ, VARIABLE: "1", **(environment or {}), PARENT_PIPE: str(watched)},
                    # Ctrl-C reaches the sweep alone, which passes it on in its own way.
                    start_new_session=True,
                    pass_fds=(lock, watched),
                )
        except BaseException:
            os.close(alive)
            release_lock(lock)
            raise
        finally:
            os.close(watched)
        return cls(folder, point, lock, process, resumed, alive)

    def poll(self) -> PointState | None:
        """Return how the point ended, or None while it runs; to be called until it has."""
        code = self._process.poll()
        if code is None:
            return None
        failure = self._failure(code)
        # A signal is an accident, an error is not: the point would break off there again.
        by_itself = failure is not None and code > 0 and code != _INTERRUPTED
        broken = {PASSED_OVER: True} if by_itself else {}
        spent = float(self._folder.record(self.point).get("process_s", 0.0))
        seconds = round(spent + time.monotonic() - self.started, 3)
        try:
            self._folder.write_record(
                self.point, failure=failure, process_s=seconds, ended=time.time(), **broken
            )
            return self._folder.state(self.point)
        finally:
            os.close(self._alive)
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
        if code in (0, _INTERRUPTED) and result.get("status") == "interrupted":
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


# ---- on this machine ----------------------------------------------------------------------------


def run_locally(
    plan: SweepPlan,
    program: Sequence[str],
    *,
    workers: int = 1,
    environment: Mapping[str, str] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    observer: SweepObserver | None = None,
    more_words: MoreWords | None = None,
) -> dict[str, PointState]:
    """Work on all chosen points that are not done, and write the tables as they end.

    Points that another sweep is working on are left to it; when nothing else is left they are waited for,
    and taken over if that one gives them up.

    Args:
        plan: The sweep.
        program: What runs `nnbf`: the words of a point are appended.
        workers: Points at a time.
        environment: Variables of their processes on top of our own.
        should_stop: Asked several times a second; true stops the points, which save themselves.
        observer: Told what happens.
        more_words: See `MoreWords`; by default where points with warm starts begin. A point with `after`
            starts when that one is over.

    Returns:
        The state of every chosen point, by name.

    Raises:
        OSError: The folder of the sweep cannot be written, or the program cannot be started.
        KeyboardInterrupt: As it came in; the points have been ended at once.
    """
    words = more_words or start_words(plan.folder, plan.points)
    with tables_kept(plan) as update:
        work = _LocalSweep(plan, program, environment, observer or SweepObserver(), words, update)
        work.until_over(workers, should_stop)
    return {point.name: work.over.get(point.name) or plan.folder.state(point) for point in plan.chosen}


@dataclass
class _LocalSweep:
    """Points that wait, run and are over."""

    plan: SweepPlan
    program: Sequence[str]
    environment: Mapping[str, str] | None
    observer: SweepObserver
    more_words: MoreWords
    update_tables: Callable[[], None]
    waiting: dict[str, Point] = field(default_factory=dict)
    not_before: dict[str, float] = field(default_factory=dict)
    running: list[PointRun] = field(default_factory=list)
    over: dict[str, PointState] = field(default_factory=dict)
    began: float = field(default_factory=time.time)

    def until_over(self, workers: int, should_stop: Callable[[], bool]) -> None:
        for point in self.plan.chosen:
            state = self.plan.folder.state(point)
            if state.done:
                self.over[point.name] = state
            else:
                self.waiting[point.name] = point
        try:
            while self.waiting or self.running:
                if should_stop():
                    self.waiting.clear()
                    for run in self.running:
                        run.stop()
                while len(self.running) < workers and (ready := self._ready()) is not None:
                    self._begin(ready)
                self._collect()
                if self.running or self.waiting:
                    self.observer.running(self.running)
                    time.sleep(_POLL)
        except BaseException:
            for run in self.running:
                run.interrupt()
            for run in self.running:
                run.finish()
            self._collect()
            raise

    def _ready(self) -> Point | None:
        now = time.monotonic()
        active = {*self.waiting, *(run.point.name for run in self.running)}
        for point in self.waiting.values():
            if point.after not in active and now >= self.not_before.get(point.name, 0.0):
                return point
        return None

    def _begin(self, point: Point) -> None:
        begun = self._begun(point)
        if begun is None:
            self.not_before[point.name] = time.monotonic() + _AGAIN
            if not self.running and set(self.not_before) >= set(self.waiting):
                self.observer.elsewhere(list(self.waiting.values()))
            return
        del self.waiting[point.name]
        self.not_before.pop(point.name, None)
        if isinstance(begun, PointRun):
            self.running.append(begun)
            self.observer.started(point, begun.resumed)
        else:
            self._end(point, begun)

    def _begun(self, point: Point) -> PointRun | PointState | None:
        folder, words = self.plan.folder, self.more_words(point)
        state = folder.state(point)
        if words is None:
            return replace(state, reason=state.reason or f"it starts from {point.after}, which is not done")
        if state.status == "failed" and folder.record(point).get("ended", 0.0) >= self.began:
            return state  # another sweep has found so since this one began
        return PointRun.begin(folder, point, self.program, environment=self.environment, more_words=words)

    def _collect(self) -> None:
        for run in list(self.running):
            state = run.poll()
            if state is not None:
                self.running.remove(run)
                self._end(run.point, state)

    def _end(self, point: Point, state: PointState) -> None:
        self.over[point.name] = state
        self.observer.ended(point, state)
        self.update_tables()

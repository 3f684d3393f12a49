"""A sweep on this machine: so many points at a time, each in a process of its own."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from nnbf.sweep.points import Point
from nnbf.sweep.process import PointRun, SweepObserver
from nnbf.sweep.sweep_folder import PointState
from nnbf.sweep.sweep_plan import SweepPlan
from nnbf.sweep.table import tables_kept
from nnbf.sweep.warm import start_words

_POLL = 0.05  # seconds
_AGAIN = 1.0  # seconds between two looks at a point that another process holds

MoreWords = Callable[[Point], Sequence[str] | None]
"""Gives words for the command of a point that is about to start, such as where to start it from; None where
that is not there, and the point has to be left for another time."""


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

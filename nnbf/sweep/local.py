"""A sweep on this machine: so many points at a time, each in a process of its own."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from nnbf.sweep.folder import PointState
from nnbf.sweep.observer import SweepObserver
from nnbf.sweep.plan import SweepPlan
from nnbf.sweep.points import Point
from nnbf.sweep.process import PointRun
from nnbf.sweep.table import TableWriter
from nnbf.sweep.warm import StartWords

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
        plan: What to do.
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
    return _Scheduler(plan, program, environment, observer or SweepObserver(), more_words).work(
        workers, should_stop
    )


class _Scheduler:
    def __init__(
        self,
        plan: SweepPlan,
        program: Sequence[str],
        environment: Mapping[str, str] | None,
        observer: SweepObserver,
        more_words: MoreWords | None,
    ) -> None:
        self._plan, self._folder = plan, plan.folder
        self._program, self._environment = program, environment
        self._observer = observer
        self._more_words = more_words or StartWords(plan.folder, plan.points)
        self._tables = TableWriter(plan)
        self._over: dict[str, PointState] = {}
        self._waiting: dict[str, Point] = {}
        self._not_before: dict[str, float] = {}
        self._running: list[PointRun] = []
        self._began = time.time()

    def work(self, workers: int, should_stop: Callable[[], bool]) -> dict[str, PointState]:
        self._plan.begin()
        for point in self._plan.chosen:
            state = self._folder.state(point)
            if state.done:
                self._over[point.name] = state
            else:
                self._waiting[point.name] = point
        self._tables.write()
        stopping = False
        try:
            while self._waiting or self._running:
                if not stopping and should_stop():
                    stopping = True
                    for run in self._running:
                        run.stop()
                if stopping:
                    self._waiting.clear()
                while len(self._running) < workers and (following := self._next()) is not None:
                    self._begin(following)
                self._collect()
                if self._running or self._waiting:
                    self._observer.running(self._running)
                    time.sleep(_POLL)
        except BaseException:
            for run in self._running:
                run.interrupt()
            for run in self._running:
                run.finish()
            self._collect()
            raise
        finally:
            self._tables.write(final=True)
        return {point.name: self._state(point) for point in self._plan.chosen}

    def _state(self, point: Point) -> PointState:
        return self._over.get(point.name) or self._folder.state(point)

    def _next(self) -> Point | None:
        now = time.monotonic()
        active = {*self._waiting, *(run.point.name for run in self._running)}
        for point in self._waiting.values():
            if point.after not in active and now >= self._not_before.get(point.name, 0.0):
                return point
        return None

    def _begin(self, point: Point) -> None:
        words = self._more_words(point)
        if words is None:
            begun: PointState | PointRun | None = self._left(point)
        else:
            begun = self._failed_just_now(point) or PointRun.begin(
                self._folder, point, self._program, environment=self._environment, more_words=words
            )
        if begun is None:
            self._not_before[point.name] = time.monotonic() + _AGAIN
            if not self._running and set(self._not_before) >= set(self._waiting):
                self._observer.elsewhere(list(self._waiting.values()))
            return
        del self._waiting[point.name]
        self._not_before.pop(point.name, None)
        if isinstance(begun, PointRun):
            self._running.append(begun)
            self._observer.started(point, begun.resumed)
        else:
            self._end(point, begun)

    def _left(self, point: Point) -> PointState:
        state = self._folder.state(point)
        return replace(state, reason=state.reason or f"it starts from {point.after}, which is not done")

    def _failed_just_now(self, point: Point) -> PointState | None:
        """Return the state of a point that another sweep has found to fail since this one began."""
        if self._folder.record(point).get("ended", 0.0) < self._began:
            return None
        state = self._folder.state(point)
        return state if state.status == "failed" else None

    def _collect(self) -> None:
        for run in list(self._running):
            state = run.poll()
            if state is not None:
                self._running.remove(run)
                self._end(run.point, state)

    def _end(self, point: Point, state: PointState) -> None:
        self._over[point.name] = state
        self._observer.ended(point, state)
        self._tables.update()

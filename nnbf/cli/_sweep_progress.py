"""What a sweep shows while it works: one view of the whole on a terminal, plain lines elsewhere."""

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nnbf.cli.console import clock
from nnbf.sweep import Point, PointRun, PointState, SweepObserver, SweepPlan, last_row, milli_error

_MOST_LINES = 12


class SweepProgress(SweepObserver):
    """Shows a sweep; silent if `quiet`."""

    def __init__(self, plan: SweepPlan, *, quiet: bool = False) -> None:
        self._plan, self._quiet = plan, quiet
        self._console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self._started = time.monotonic()
        self._states = {point.name: plan.folder.state(point) for point in plan.chosen}
        self._over = {name for name, state in self._states.items() if state.done}
        self._runs: Sequence[PointRun] = ()

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """Say what there is to do, then show it being done."""
        total = len(self._plan.chosen)
        self._say(f"{self._plan.name}: {total} points in {self._plan.folder.path}, {len(self._over)} done")
        if self._quiet or not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, get_renderable=self._picture, refresh_per_second=2, transient=True):
            yield

    def started(self, point: Point, resumed: bool) -> None:
        """Say that a point begins."""
        if not self._console.is_terminal:
            self._say(f"{'resume' if resumed else 'start'}  {point.name}")

    def ended(self, point: Point, state: PointState) -> None:
        """Say how a point ended."""
        self._states[point.name] = state
        if state.done or state.status == "failed":
            self._over.add(point.name)
        self._say(f"[{len(self._over)}/{len(self._plan.chosen)}] {point.name}  {outcome(state)}")

    def elsewhere(self, points: Sequence[Point]) -> None:
        """Say what is waited for."""
        names = ", ".join(point.name for point in points[:3]) + (" ..." if len(points) > 3 else "")
        self._say(f"waiting for another process that works on {names}")

    def running(self, runs: Sequence[PointRun]) -> None:
        """Take note of what is being computed."""
        self._runs = list(runs)

    def announce_stop(self, reason: str) -> None:
        """Say that a request to stop was heard."""
        self._say(f"{reason}: points save themselves and stop (Ctrl-C again: at once)")

    def _say(self, text: str) -> None:
        if not self._quiet:
            self._console.print(text, markup=False)

    def _picture(self) -> Group:
        failed = sum(state.status == "failed" for state in self._states.values())
        head = Table.grid(padding=(0, 2))
        counts = f"{len(self._over)}/{len(self._plan.chosen)}" + (f", {failed} failed" if failed else "")
        bar = ProgressBar(total=len(self._plan.chosen), completed=len(self._over), width=24)
        head.add_row(bar, counts, clock(time.monotonic() - self._started))
        lines = [Text(self._line(run), no_wrap=True, overflow="ellipsis") for run in self._runs[:_MOST_LINES]]
        return Group(head, *lines)

    def _line(self, run: PointRun) -> str:
        row = last_row(self._plan.folder.run(run.point)) or {}
        parts = [f"  {run.point.name}"]
        if row.get("step") is not None:
            parts.append(f"step {row['step']}")
        if row.get("energy") is not None:
            parts.append(f"E {row['energy']:.6f}")
        return "  ".join([*parts, clock(time.monotonic() - run.started)])


def outcome(state: PointState) -> str:
    """Return how a point ended, on one line."""
    if state.result is None:
        return state.status + (f": {state.reason}" if state.reason else "")
    parts = []
    energy, error = state.result.get("energy"), state.result.get("energy_error")
    if energy is not None:
        parts.append(f"E {energy:.6f}" + (f" +- {error:.6f}" if error else ""))
    if (error := milli_error(state.result)) is not None:
        parts.append(f"{error[0]:+.4f} e-3 to {error[1]}")
    return "  ".join([*parts, state.status, clock(state.result.get("wall_time_s") or 0.0)])

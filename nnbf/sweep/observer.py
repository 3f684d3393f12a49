"""What a sweep tells while it works."""

from collections.abc import Sequence

from nnbf.sweep.folder import PointState
from nnbf.sweep.points import Point
from nnbf.sweep.process import PointRun


class SweepObserver:
    """Follows a sweep; this one ignores everything, and others override what they want to know."""

    def started(self, point: Point, resumed: bool) -> None:
        """A point was started, or is gone on with."""

    def ended(self, point: Point, state: PointState) -> None:
        """A point is over: done, failed or stopped."""

    def elsewhere(self, points: Sequence[Point]) -> None:
        """Nothing is left but these points, which another process is working on."""

    def running(self, runs: Sequence[PointRun]) -> None:
        """These are being computed; said several times a second."""

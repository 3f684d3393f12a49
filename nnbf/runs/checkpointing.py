"""When a run saves itself: every so many seconds, never for long, and always at the end."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from hamiltonians.errors import one_line
from nnbf.runs.history import HistoryWriter
from nnbf.runs.store import CheckpointStore

INTERVAL = 30.0
"""Default number of seconds between checkpoints."""

LARGEST_SHARE = 0.05
"""Most of the time that checkpoints may take, unless every step is to be saved."""


class Checkpointing:
    """Saves snapshots of a run as they are offered: the `on_checkpoint` of a solver.

    A checkpoint that cannot be written (a full disk, say) costs the run nothing: the one before stays
    valid, and the next is tried when it is due.
    """

    def __init__(
        self,
        store: CheckpointStore,
        history: HistoryWriter,
        interval: float = INTERVAL,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        """Begin; the first checkpoint is due after `interval`.

        Args:
            store: Where checkpoints go.
            history: Written to disk before every checkpoint, which relies on its rows.
            interval: Seconds between checkpoints; 0 saves every step.
            warn: Told when a checkpoint cannot be written, once for each reason.
        """
        self._store = store
        self._history = history
        self._interval = interval
        self._warn = warn
        self._due = time.monotonic() + interval
        self.problems: list[str] = []
        """Why checkpoints could not be written, one line for each reason."""
        self.count = 0
        """Checkpoints written."""
        self.seconds = 0.0
        """Time that took."""

    def __call__(self, take: Callable[[], Mapping[str, Any]], must: bool) -> bool:
        """Save `take()` if it is time to or `must`; return whether it is saved."""
        started = time.monotonic()
        if not must and started < self._due:
            return False
        saved = self._save(take)
        ended = time.monotonic()
        self.seconds += ended - started
        wait = max(self._interval, (ended - started) / LARGEST_SHARE) if self._interval > 0 else 0.0
        self._due = ended + wait
        return saved

    def _save(self, take: Callable[[], Mapping[str, Any]]) -> bool:
        try:
            self._history.sync()
            self._store.save(take())
        except OSError as error:
            problem = (
                f"a checkpoint could not be written ({error.strerror or one_line(error)}): "
                "the one before stays valid, and the run goes on"
            )
            if problem not in self.problems:
                self.problems.append(problem)
                if self._warn is not None:
                    self._warn(problem)
            return False
        self.count += 1
        return True

"""Costs of a run: seconds of a step, and seconds until its energy is good enough."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

LEAST_STEPS = 3
"""Fewest durations on the final space that are thought to be typical."""


def time_per_step(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the seconds that a step takes on the final variational space, as a median.

    Steps that change the space are left out: they also compile programs for its new size. Where fewer than
    `LEAST_STEPS` are left, it is the last quarter of all steps.

    Args:
        rows: The history of a run: `time_s`, and where there are, `n_space` and `stage`.

    Returns:
        Seconds; None where fewer than two steps have a time.
    """
    timed = [row for row in rows if row.get("time_s") is not None]
    if len(timed) < 2:
        return None
    seconds = np.diff([row["time_s"] for row in timed])
    spaces = [(row.get("n_space"), row.get("stage")) for row in timed]
    settled = np.array([before == after == spaces[-1] for before, after in pairwise(spaces)])
    if np.count_nonzero(settled) < LEAST_STEPS:
        settled = np.arange(len(seconds)) >= len(seconds) - -(-len(seconds) // 4)
    return float(np.median(seconds[settled]))


def time_to_accuracy(rows: Sequence[Mapping[str, Any]], exact: float, accuracy: float) -> float | None:
    """Return the seconds until the energy of a step is, for the first time, no more than this too high.

    Args:
        rows: The history of a run: `time_s` and `energy`.
        exact: Energy of the ground state, in the unit of the run.
        accuracy: What is good enough, in the same unit.

    Returns:
        Seconds; None where no step is good enough.
    """
    for row in rows:
        energy, seconds = row.get("energy"), row.get("time_s")
        if energy is not None and seconds is not None and energy - exact <= accuracy:
            return float(seconds)
    return None

"""Costs of runs, and growth of a quantity with size: power laws y = a x^p from log-log fits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import stdtrit

from hamiltonians.errors import InputError

LEAST_STEPS = 3
"""Fewest durations on the final space that are thought to be typical."""
LEAST_SIZES = 3
"""Fewest different sizes of a fit: two would leave no sign of its error."""
LABELS = {
    "n_spin_orbitals": "spin orbitals",
    "n_orbitals": "orbitals",
    "n_electrons": "electrons",
    "n_connected": "connected determinants |C|",
    "connected_per_determinant": "connected determinants of one",
    "n_determinants": "determinants |V|",
    "n_parameters": "parameters",
    "time_per_step_s": "time per step (s)",
    "time_to_accuracy_s": "time to accuracy (s)",
    "wall_time_s": "wall time (s)",
    "memory_mb": "memory (MB)",
    "peak_memory_mb": "peak memory (MB)",
    "error_mha": "error to the best reference (mHa)",
}
"""Names of quantities in tables and pictures; other keys are named as they are."""


@dataclass(frozen=True)
class PowerLaw:
    """y = prefactor x^exponent, fitted to logarithms."""

    exponent: float
    """p."""
    exponent_error: float
    """Standard error of p, from the scatter about the line (or the errors of y, where those are larger)."""
    prefactor: float
    """a, in the unit of y."""
    prefactor_error: float
    """Standard error of a."""
    scatter: float
    """Standard deviation of ln y about the line: 0.1 is ten per cent."""
    interval: tuple[float, float]
    """95 % confidence interval of p, by Student's t."""
    n_points: int
    """Points of the fit."""
    n_left_out: int
    """Points without a positive finite x and y."""
    x_range: tuple[float, float]
    """Smallest and largest x of the fit."""

    def __call__(self, x: Any) -> np.ndarray:
        """Return the law's y, shape of `x`."""
        return self.prefactor * np.asarray(x, dtype=float) ** self.exponent

    def record(self) -> dict[str, Any]:
        """Return plain numbers and lists for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class ScalingTable:
    """Power laws of several quantities of the same runs."""

    against: str
    """Quantity on the x axis."""
    laws: dict[str, PowerLaw]
    """The fit of every quantity that has one."""
    missing: dict[str, str]
    """Why the others have none."""

    def record(self) -> dict[str, Any]:
        """Return plain dictionaries for JSON."""
        return asdict(self)


def fit_power_law(
    x: Sequence[float | None], y: Sequence[float | None], errors: Sequence[float | None] | None = None
) -> PowerLaw:
    """Fit y = a x^p by a straight line through (ln x, ln y).

    Every point weighs the same, whatever its `errors`: how far sizes are off a power law is, as a rule, more
    than the error of one measurement.

    Args:
        x: Sizes; points where x or y is None, not finite or not positive are left out and counted.
        y: Measured, any unit.
        errors: Standard errors of y; the error of p is not less than what they lead to.

    Raises:
        InputError: Fewer than three different sizes are left, or lengths differ.
    """
    if len(x) != len(y) or (errors is not None and len(errors) != len(y)):
        raise InputError("x, y and errors of a power law must be equally long")
    sizes, values = np.array(x, dtype=float), np.array(y, dtype=float)
    used = np.isfinite(sizes) & np.isfinite(values) & (sizes > 0) & (values > 0)
    n_sizes = len(np.unique(sizes[used]))
    if n_sizes < LEAST_SIZES:
        raise InputError(f"{n_sizes} different sizes with a value: a power law needs {LEAST_SIZES} or more")
    log_x, log_y = np.log(sizes[used]), np.log(values[used])
    matrix = np.stack([np.ones_like(log_x), log_x], axis=1)
    inverse = np.linalg.pinv(matrix)
    constant, exponent = inverse @ log_y
    freedom = len(log_x) - 2
    residual = log_y - matrix @ (constant, exponent)
    scatter = float(np.sqrt(residual @ residual / freedom))
    covariance = scatter**2 * inverse @ inverse.T
    if errors is not None:
        relative = np.nan_to_num(np.array(errors, dtype=float)[used] / values[used])
        covariance = np.maximum(np.diag(covariance), np.diag((inverse * relative**2) @ inverse.T))
        covariance = np.diag(covariance)
    constant_error, exponent_error = np.sqrt(np.diag(covariance))
    half = exponent_error * stdtrit(freedom, 0.975)
    return PowerLaw(
        exponent=float(exponent),
        exponent_error=float(exponent_error),
        prefactor=float(np.exp(constant)),
        prefactor_error=float(np.exp(constant) * constant_error),
        scatter=scatter,
        interval=(float(exponent - half), float(exponent + half)),
        n_points=int(used.sum()),
        n_left_out=int((~used).sum()),
        x_range=(float(sizes[used].min()), float(sizes[used].max())),
    )


def scaling_table(
    records: Iterable[Mapping[str, Any]], quantities: Iterable[str], *, against: str = "n_spin_orbitals"
) -> ScalingTable:
    """Fit a power law to every quantity of a list of records.

    Args:
        records: One a run; a quantity that a record lacks, or that is None, is left out of its fit.
        quantities: Keys of y, such as "time_per_step_s".
        against: Key of x.
    """
    rows = list(records)
    x = [row.get(against) for row in rows]
    laws: dict[str, PowerLaw] = {}
    missing: dict[str, str] = {}
    for quantity in quantities:
        errors = [row.get(f"{quantity}_error") for row in rows]
        try:
            laws[quantity] = fit_power_law(
                x, [row.get(quantity) for row in rows], errors if any(errors) else None
            )
        except InputError as error:
            missing[quantity] = str(error)
    return ScalingTable(against, laws, missing)


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

r"""A number that was computed, with its error bar and kind; statistics of Markov chains.

Every energy and observable that is shown or written is an `Estimate`. The kinds of energies are those of
``docs/energies.md``.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from nnbf._text import value_with_error

KINDS = {
    "variational": ("variational", "yes"),
    "projected": ("projected", "no"),
    "full_sum": ("full sum", "yes"),
    "vmc": ("VMC", "within its error"),
    "pt2": ("variational + PT2", "no"),
    "extrapolated": ("extrapolated", "no"),
    "mp2_corrected": ("with MP2 correction", "no"),
}
"""Label of every kind of energy, and whether it bounds the ground state from above."""

REFERENCES = {
    "hf": ("HF", "yes"),
    "mp2": ("MP2", "no"),
    "ccsd": ("CCSD", "no"),
    "ccsd_t": ("CCSD(T)", "no"),
    "fci": ("FCI", "exact"),
    "ed": ("ED", "exact"),
}
"""Label of every reference method, and whether it bounds the ground state from above."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """A value with its standard error and its kind.

    Example:
        >>> print(Estimate(-107.652803, 3.1e-5, "vmc"))
        -107.65280(3) Hartree (vmc)
    """

    value: Any
    """Number or array."""
    error: Any = 0.0
    """Standard error, of the same shape or a number; 0 for exact sums."""
    kind: str = ""
    """variational, selected_ci, projected, full_sum, vmc, pt2 or extrapolated; see ``docs/energies.md``."""
    unit: str = "Hartree"
    """Hartree, t, or another unit; empty for pure numbers."""
    upper_bound: bool = False
    """Whether the exact value is not above it (within the error)."""
    variance: float | None = None
    """Variance of the quantity in the state, unit squared."""
    r_hat: float | None = None
    """Split R-hat of the chains; None for exact sums and independent samples."""
    tau: float | None = None
    """Autocorrelation time of the chains, in samples."""
    n_samples: int | None = None
    """Number of samples."""

    def __str__(self) -> str:
        """Value, error in brackets, unit, kind."""
        if np.ndim(self.value):
            numbers = np.broadcast_arrays(np.asarray(self.value, float), np.asarray(self.error, float))
            text = ", ".join(value_with_error(v, e) for v, e in zip(*(part.ravel() for part in numbers)))
            text = f"[{text}]"
        else:
            text = value_with_error(float(self.value), float(self.error))
        return " ".join(part for part in (text, self.unit, f"({self.kind})" if self.kind else "") if part)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, without what is not known; see `from_dict`."""
        fields = asdict(self)
        for name in ("value", "error"):
            fields[name] = np.asarray(fields[name]).tolist()
        return {name: value for name, value in fields.items() if value is not None}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Estimate":
        """Return the estimate that `to_dict` wrote."""
        return cls(**{name: fields[name] for name in cls.__dataclass_fields__ if name in fields})


class SampleMean(NamedTuple):
    """Mean of samples and how well it is known."""

    mean: float
    """Mean."""
    error: float
    """Standard error; the autocorrelation of chains is included."""
    r_hat: float | None = None
    """Split R-hat over the chains (Gelman et al., Bayesian Data Analysis): 1 where they agree."""
    tau: float = 0.0
    """Autocorrelation time in samples; 0 for independent samples."""


def reference_label(key: str) -> str:
    """Return the name of a reference method."""
    return REFERENCES.get(key, (key.upper(), ""))[0]


def v_score(n_particles: float, variance: float, energy: float, infinite_temperature: float) -> float:
    """V-score N Var / (E - E_inf)^2 (Wu et al., Science 386, 296 (2024)); 0 where the energy is E_inf.

    Args:
        n_particles: Number of particles N.
        variance: Variance of the energy.
        energy: Energy.
        infinite_temperature: Energy E_inf of the completely mixed state.
    """
    distance = energy - infinite_temperature
    return float(n_particles * variance / distance**2) if distance else 0.0


def jackknife_error(without_one: np.ndarray) -> np.ndarray:
    """Standard error of a function of means, from its values (B, ...) with one batch left out.

    (Efron, The Jackknife, the Bootstrap and Other Resampling Plans, SIAM, 1982.)
    """
    n = len(without_one)
    spread = np.asarray(without_one) - np.mean(without_one, axis=0)
    return np.sqrt((n - 1) / n * np.sum(spread**2, axis=0))

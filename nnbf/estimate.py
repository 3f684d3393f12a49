r"""A number that was computed, with its error bar and kind; statistics of Markov chains.

Every energy and observable that is shown or written is an `Estimate`. The kinds of energies are those of
``docs/energies.md``.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from nnbf._text import value_with_error

KINDS = {
    "selected_ci": ("selected CI", "yes"),
    "selected_ci_pt2": ("selected CI + PT2", "no"),
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
    """True where the exact value is not above it (within the error)."""
    variance: float | None = None
    """Variance of the quantity in the state, unit squared."""
    r_hat: float | None = None
    """Split R-hat of the chains; None for exact sums and independent samples."""
    tau: float | None = None
    """Autocorrelation time of the chains, in samples."""
    n_samples: int | None = None
    """Number of samples."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Further numbers by name, plain values."""

    def __float__(self) -> float:
        """The value alone."""
        return float(self.value)

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
        return {name: value for name, value in fields.items() if value is not None and value != {}}

    @classmethod
    def of_chains(
        cls, values: np.ndarray, weights: np.ndarray | None = None, *, independent: bool = False, **facts: Any
    ) -> "Estimate":
        """Mean of samples (chains, length), or their weighted mean, with its error, split R-hat and tau.

        The error is the largest of three: that of uncorrelated samples, and those from the means of whole
        chains and of their halves (`batches` of fewer than 16 chains). Whatever memory chains have, and
        whatever keeps them apart, is in the spread of their means. R-hat is that of split chains (Gelman et
        al., Bayesian Data Analysis).

        Args:
            values: (chains, length); chains are independent of each other.
            weights: (chains, length), to any scale: the error is that of the linearised ratio.
            independent: Whether samples of a chain are independent, too; then there is no R-hat.
            facts: Other fields, such as ``kind`` and ``unit``.
        """
        if weights is not None:
            mean, deviations = linearised(values, weights)
            values = mean + deviations
        length = values.shape[1]
        mean = float(np.mean(values))
        spread = float(np.std(values, ddof=1)) if values.size > 1 else np.inf
        error, r_hat, tau = spread / np.sqrt(values.size), None, 0.0
        # Rounding of equal numbers is no fluctuation.
        if not independent and length > 1 and spread > 1e-14 * max(1.0, abs(mean)):
            error = max(error, _error_of_chains(values))
            r_hat = split_r_hat(values)
            tau = 0.5 * max(0.0, length * float(values.mean(axis=1).var(ddof=1)) / spread**2 - 1.0)
        return cls(mean, error, **{"r_hat": r_hat, "tau": tau, "n_samples": values.size, **facts})

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Estimate":
        """Return the estimate that `to_dict` wrote."""
        return cls(**{name: fields[name] for name in cls.__dataclass_fields__ if name in fields})


def reference_label(key: str) -> str:
    """Return the name of a reference method, or of the yardstick of a run."""
    return (REFERENCES.get(key) or KINDS.get(key) or (key.upper(),))[0]


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


def linearised(values: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """Weighted mean of samples, and what every sample contributes to its deviation from the true one.

    The mean is a ratio of two means; to first order in 1 / n its error is that of the mean of the
    contributions ``w (x - <x>) / <w>``.

    Args:
        values: Samples x.
        weights: Their weights w, to any scale.
    """
    weights = weights / weights.mean()
    mean = float(np.mean(weights * values))
    return mean, weights * (values - mean)


def split_r_hat(values: np.ndarray) -> float | None:
    """Split R-hat of samples (chains, length); None for fewer than four samples a chain or no spread."""
    half = values.shape[1] // 2
    if half < 2:
        return None
    halves = _halves(values)
    within = float(halves.var(axis=1, ddof=1).mean())
    between = float(halves.mean(axis=1).var(ddof=1))
    return float(np.sqrt((half - 1) / half + between / within)) if within > 0 else None


MANY_CHAINS = 16
"""Chains from which on whole chains are the batches that errors come from."""
_PIECES = 32
_MOST_BATCHES = 64


def batches(n_chains: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Batches of the samples of chains whose averages are as good as independent.

    From 16 chains on whole chains, or several together; else consecutive pieces of the chains, which must
    be several autocorrelation times long.

    Returns:
        The batch (chains, length) of every sample, and for every batch (B,) whether it goes on with the chain
        of the one before.
    """
    chain = np.repeat(np.arange(n_chains), length).reshape(n_chains, length)
    if n_chains >= MANY_CHAINS:
        of_sample, pieces = chain * min(n_chains, _MOST_BATCHES) // n_chains, 1
    else:
        pieces = min(length, -(-_PIECES // max(n_chains, 1)))
        of_sample = chain * pieces + np.arange(length) * pieces // max(length, 1)
    count = int(of_sample.max(initial=-1)) + 1
    return of_sample, np.arange(count) % max(pieces, 1) != 0


def batch_error(parts: np.ndarray, shares: np.ndarray, continues: np.ndarray) -> np.ndarray:
    """Standard error of a mean from its averages (B, ...) over batches.

    That of a complex mean is the one of real and imaginary part in quadrature.

    Args:
        parts: Averages over the batches.
        shares: (B,) share of the samples in each.
        continues: (B,) whether a batch goes on with the chain of the one before: the correlation of the two
            is added where it is positive.
    """
    n = len(shares)
    spread = parts - np.tensordot(shares, parts, axes=1)
    spread = shares.reshape(-1, *[1] * (np.ndim(parts) - 1)) * spread
    variance = np.sum(np.abs(spread) ** 2, axis=0) * n / (n - 1)
    if np.any(continues):
        later = np.flatnonzero(continues)
        shared = 2.0 * np.sum((spread[later] * spread[later - 1].conj()).real, axis=0) * n / (n - 1)
        variance = variance + np.maximum(shared, 0.0)
    return np.sqrt(variance)


def without_one(parts: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Means over all batches but one, (B, ...), for `jackknife_error`.

    Args:
        parts: Averages (B, ...) over the batches.
        shares: (B,) share of the samples in each.
    """
    each = shares.reshape(-1, *[1] * (np.ndim(parts) - 1))
    return (np.tensordot(shares, parts, axes=1) - each * parts) / (1.0 - each)


def jackknife_error(without_one: np.ndarray) -> np.ndarray:
    """Standard error of a function of means, from its values (B, ...) with one batch left out.

    (Efron, The Jackknife, the Bootstrap and Other Resampling Plans, SIAM, 1982.)
    """
    n = len(without_one)
    spread = np.asarray(without_one) - np.mean(without_one, axis=0)
    return np.sqrt((n - 1) / n * np.sum(spread**2, axis=0))


def _error_of_chains(values):
    """Standard error of the mean of correlated samples (chains, length)."""
    chains, length = values.shape
    if chains >= MANY_CHAINS:
        means = (values.mean(axis=1), _halves(values).mean(axis=1))
        return max(float(each.std(ddof=1) / np.sqrt(len(each))) for each in means)
    of_sample, continues = batches(chains, length)
    sizes = np.bincount(of_sample.ravel())
    parts = np.bincount(of_sample.ravel(), weights=values.ravel()) / sizes
    return float(batch_error(parts, sizes / sizes.sum(), continues))


def _halves(values):
    """Halves (2 chains, length // 2) of chains."""
    chains, half = len(values), values.shape[1] // 2
    return values[:, : 2 * half].reshape(2 * chains, half)

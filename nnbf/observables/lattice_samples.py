"""Configurations of a lattice state with their weights: what averages and error bars are made from.

Errors of samples come from batches: whole chains where there are 16 or more (as in NetKet's statistics of
32 or more: autocorrelation, and chains that disagree, are in the error), else consecutive pieces of the
chains, with the correlation of neighbouring pieces added where it is positive.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from hamiltonians.errors import InputError
from hamiltonians.lattice.model import Lattice
from hamiltonians.lattice.operators import lattice_configurations
from nnbf.determinants.configurations import pack_modes
from nnbf.determinants.hashing import first_rows, merge_equal
from nnbf.observables.result import Estimate

LogPsi = Callable[[np.ndarray], Any]
"""Occupations (n, modes) of 0 and 1, int8, up block first -> complex log psi (n,)."""

#: Configurations up to which averages are exact sums.
MOST_ENUMERATED = 500_000

_MANY_CHAINS = 16
_PIECES = 32
_MOST_BATCHES = 64
# Amplitudes below e^-50 of the largest change no average that double precision shows.
_NEGLIGIBLE = 50.0
_AT_ONCE = 100_000


@dataclass(frozen=True, eq=False)
class WeightedConfigurations:
    """Distinct configurations, and their share of |psi|^2 in every batch of samples.

    Made by `enumerated` (one batch that is exact) or by `sampled`.
    """

    occupations: np.ndarray
    """(u, modes) int8, up block first."""
    weights: scipy.sparse.csr_matrix
    """(B, u), rows sum to 1."""
    shares: np.ndarray
    """(B,) share of the samples in each batch."""
    continues: np.ndarray
    """(B,) whether a batch goes on with the chain of the one before."""
    n_samples: int | None
    """Samples; None for exact sums."""
    log_values: np.ndarray | None = None
    """(u,) log psi, where it is known."""

    @classmethod
    def enumerated(cls, model: Lattice, log_psi: LogPsi) -> "WeightedConfigurations":
        """Every configuration with its |psi|^2: averages are exact.

        Raises:
            InputError: More than 500,000 configurations.
            FloatingPointError: log psi is not a number, or psi vanishes everywhere.
        """
        if model.n_configurations > MOST_ENUMERATED:
            raise InputError(
                f"{model.n_configurations:.2g} configurations are too many for exact averages: give at most "
                f"{MOST_ENUMERATED:,}, or samples"
            )
        occupations = lattice_configurations(model).astype(np.int8)
        log_values = np.asarray(log_psi(occupations), dtype=complex)
        if np.any(np.isnan(log_values)) or not np.isfinite(largest := log_values.real.max()):
            raise FloatingPointError("log psi is not finite")
        kept = log_values.real > largest - _NEGLIGIBLE
        occupations, log_values = occupations[kept], log_values[kept]
        weights = np.exp(2.0 * (log_values.real - largest))
        weights /= weights.sum()
        one = np.ones(1)
        return cls(
            occupations, scipy.sparse.csr_matrix(weights[None]), one, np.zeros(1, bool), None, log_values
        )

    @classmethod
    def sampled(cls, samples: np.ndarray, weights: np.ndarray | None = None) -> "WeightedConfigurations":
        """Samples of |psi|^2, or of another distribution with weights.

        With fewer than 16 chains these must be several times 32 / chains autocorrelation times long for
        the errors to be right. Independent samples may be shaped into any number of chains.

        Args:
            samples: (chains, length, modes) of 0 and 1, up block first, each row in the order of its chain.
            weights: (chains, length) |psi|^2 over what was sampled, to any scale. Averages are then ratios,
                with the errors of the linearised ones.

        Raises:
            ValueError: Not such arrays, or too few samples for an error bar.
        """
        samples = np.asarray(samples)
        if samples.ndim != 3 or not np.all((samples == 0) | (samples == 1)):
            raise ValueError("samples must be (chains, length, modes) of zeros and ones")
        n_chains, length, n_modes = samples.shape
        chain, place = np.divmod(np.arange(n_chains * length), max(length, 1))
        if n_chains >= _MANY_CHAINS:
            batch, pieces = chain * min(n_chains, _MOST_BATCHES) // n_chains, 1
        else:
            pieces = min(length, -(-_PIECES // max(n_chains, 1)))
            batch = chain * pieces + place * pieces // max(length, 1)
        n_batches = int(batch.max(initial=-1)) + 1
        if n_batches < 3:
            raise ValueError(f"{n_chains} chains of {length} samples are too few for an error bar")
        rows = samples.reshape(-1, n_modes).astype(np.int8)
        keys, of_sample = merge_equal(pack_modes(rows))
        shape = (n_batches, len(keys))
        if weights is not None and np.shape(weights) != (n_chains, length):
            raise ValueError("weights must be (chains, length)")
        each = np.ones(len(rows)) if weights is None else np.ravel(weights)
        counts = scipy.sparse.coo_matrix((each, (batch, of_sample)), shape=shape).tocsr()
        sizes = np.asarray(counts.sum(axis=1)).ravel()
        return cls(
            occupations=rows[first_rows(of_sample, len(keys))],
            weights=(scipy.sparse.diags(1.0 / sizes) @ counts).tocsr(),
            shares=sizes / sizes.sum(),
            continues=np.arange(n_batches) % pieces != 0,
            n_samples=len(rows),
        )

    @property
    def is_exact(self) -> bool:
        """Whether averages are exact sums."""
        return self.n_samples is None

    @property
    def kind(self) -> str:
        """Kind of the averages: full_sum or vmc."""
        return "full_sum" if self.is_exact else "vmc"

    # ---- averages ----------------------------------------------------------------------------------

    def average(self, local: np.ndarray) -> Estimate:
        """Average of values (u, ...) of the configurations."""
        return self.estimate(self.parts(local))

    def parts(self, local: np.ndarray) -> np.ndarray:
        """Averages (B, ...) over each batch of values (u, ...)."""
        local = np.asarray(local)
        flat = self.weights @ local.reshape(len(local), -1)
        return flat.reshape(len(self.shares), *local.shape[1:])

    def estimate(self, parts: np.ndarray) -> Estimate:
        """Mean and standard error of averages (B, ...) over each batch.

        The error of a complex mean is that of real and imaginary part in quadrature.
        """
        parts = np.asarray(parts)
        mean = np.tensordot(self.shares, parts, axes=1)
        if self.is_exact:
            return Estimate(mean, np.zeros(np.shape(mean)))
        return Estimate(mean, self._error(parts - mean))

    def ratio(self, numerator: np.ndarray, denominator: np.ndarray) -> Estimate:
        """Ratio of two means given by their batches (B,), with the error of the linearised ratio.

        Not a number where the denominator vanishes.
        """
        mean = float(self.shares @ denominator)
        if abs(mean) < 1e-12:
            return Estimate(np.nan, np.nan)
        value = float(self.shares @ numerator) / mean
        linear = (numerator - value * denominator) / mean
        return Estimate(value, self.estimate(linear).error)

    def second_moments(self, field: np.ndarray) -> np.ndarray:
        """<f_i f_j> over each batch, (B, N, N), of a field (u, N)."""
        moments = np.empty((len(self.shares), field.shape[1], field.shape[1]))
        for batch in range(len(moments)):
            row = self.weights[batch]
            rows = field[row.indices]
            moments[batch] = rows.T @ (row.data[:, None] * rows)
        return moments

    def _error(self, spread: np.ndarray) -> np.ndarray:
        n = len(self.shares)
        parts = self.shares.reshape(-1, *[1] * (spread.ndim - 1)) * spread
        variance = np.sum(np.abs(parts) ** 2, axis=0) * n / (n - 1)
        if np.any(self.continues):
            later = np.flatnonzero(self.continues)
            shared = 2.0 * np.sum((parts[later] * parts[later - 1].conj()).real, axis=0) * n / (n - 1)
            variance = variance + np.maximum(shared, 0.0)
        return np.sqrt(variance)

    # ---- amplitudes --------------------------------------------------------------------------------

    def log_own(self, log_psi: LogPsi) -> np.ndarray:
        """Log psi (u,) of the configurations.

        Raises:
            FloatingPointError: It is not finite.
        """
        own = self.log_values
        if own is None:
            own = np.asarray(log_psi(self.occupations), dtype=complex)
        if not np.all(np.isfinite(own)):
            raise FloatingPointError("log psi is not finite on a configuration that was drawn")
        return own

    def off_diagonal(
        self,
        log_psi: LogPsi,
        images_of: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]],
        most: int,
    ) -> np.ndarray:
        """Values (u,) of sum_m f(n, m) conj(psi(m) / psi(n)): their average is <psi|A|psi>.

        psi is evaluated once on every configuration of a block, and not where it is known.

        Args:
            log_psi: The state.
            images_of: Takes occupations (k, modes) and gives A|n> = sum_m f(n, m)|m>: rows (c,) of the n,
                occupations (c, modes) of the m and factors f (c,).
            most: How many m an n has at most.

        Raises:
            FloatingPointError: log psi is not finite.
        """
        own = self.log_own(log_psi)
        total = np.zeros(len(own), dtype=complex)
        # Blocks of about as many images as there are configurations, which are hashed for each.
        block = max(1, max(_AT_ONCE, len(own)) // max(most, 1))
        for start in range(0, len(own), block):
            rows, images, factors = images_of(self.occupations[start : start + block])
            rows = rows + start
            ratios = np.exp(self._log_images(own, images, log_psi) - own[rows])
            if not np.all(np.isfinite(ratios)):
                raise FloatingPointError("log psi is not finite")
            np.add.at(total, rows, factors * ratios.conj())
        return total

    def _log_images(self, own, images, log_psi):
        count = len(own)
        keys, group = merge_equal(pack_modes(np.concatenate([self.occupations, images])))
        values = np.concatenate([own, np.empty(len(keys) - count, complex)])
        if len(keys) > count:
            first = first_rows(group[count:], len(keys))[count:]
            values[count:] = np.asarray(log_psi(images[first]), dtype=complex)
        return values[group[count:]]

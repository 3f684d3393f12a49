"""Configurations of a state with their weights: what averages and error bars are made from.

Of molecules and of lattices alike, exact or sampled. Errors of samples come from batches, see
`nnbf.estimate.batches`: autocorrelation, and chains that disagree, are in them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse

from hamiltonians.errors import InputError
from hamiltonians.lattice.model import Lattice
from hamiltonians.lattice.operators import lattice_configurations
from nnbf.determinants import multiplicities, unpack_occupations
from nnbf.determinants.configurations import pack_modes, pack_occupations
from nnbf.determinants.hashing import first_rows, merge_equal
from nnbf.estimate import Estimate, batch_error, batches, without_one

LogPsi = Callable[[np.ndarray], Any]
"""Occupations (n, modes) of 0 and 1, int8, alpha or up block first -> complex log psi (n,)."""

#: Configurations up to which lattice states are enumerated.
MOST_ENUMERATED = 500_000

# Amplitudes below e^-50 of the largest change no average that double precision shows.
_NEGLIGIBLE = 50.0
_AT_ONCE = 100_000


def require_enumerable(model: Lattice) -> None:
    """Require that a lattice state can be summed over all configurations.

    Raises:
        InputError: There are more than 500,000.
    """
    if model.n_configurations > MOST_ENUMERATED:
        raise InputError(
            f"{model.n_configurations:.2g} configurations are too many for exact averages: give at most "
            f"{MOST_ENUMERATED:,}, or samples"
        )


@dataclass(frozen=True, eq=False)
class Configurations:
    """Distinct configurations, and their share of |psi|^2 in every batch of samples.

    Made by `expansion` or `enumerated` (one batch that is exact), or by `sampled`.
    """

    weights: scipy.sparse.csr_matrix
    """(B, u), rows sum to 1."""
    shares: np.ndarray
    """(B,) share of the samples in each batch."""
    continues: np.ndarray
    """(B,) whether a batch goes on with the chain of the one before."""
    n_samples: int | None
    """Samples; None for exact sums."""
    kind: str
    """Kind of the averages: full_sum, variational or vmc."""
    rows: np.ndarray
    """(u, modes) int8 occupations, or (u, 2 W) uint64 bit strings of determinants."""
    log_values: np.ndarray | None = None
    """(u,) log psi, where it is known."""
    amplitudes: np.ndarray | None = None
    """(u,) real psi, normalised over all that the entries stand for; of `expansion` only."""
    n_orbitals: int | None = None
    """Spatial orbitals M; of `expansion` only."""
    spin_flip: bool = False
    """True where each entry stands for itself and its spin flip, with the same amplitude."""
    irreps: np.ndarray | None = None
    """(M,) codes of the irreps of the orbitals, where all determinants lie in one irrep."""

    @classmethod
    def expansion(
        cls,
        determinants: np.ndarray,
        amplitudes: np.ndarray,
        n_orbitals: int,
        *,
        spin_flip: bool = False,
        irreps: np.ndarray | None = None,
        kind: str = "variational",
    ) -> "Configurations":
        r"""A real state :math:`\sum_n \psi(n) |n\rangle` over distinct determinants: averages are exact.

        FCI vectors, selected spaces and whole symmetry sectors all take this form.

        Args:
            determinants: (n, 2 W) distinct bit strings with the same electrons.
            amplitudes: (n,) psi, real, any norm.
            n_orbitals: Spatial orbitals M.
            spin_flip: Whether each entry stands for itself and its spin flip, with the same amplitude.
            irreps: (M,) XOR codes of the orbital irreps. To be given only where all determinants lie in
                one irrep: what couples different ones is then not looked up.
            kind: full_sum or variational.

        Raises:
            ValueError: Shapes disagree, the amplitudes vanish or are not finite, a determinant has other
                electrons, or spin flip is asked for with different numbers of alpha and beta electrons.
        """
        determinants = np.ascontiguousarray(determinants, dtype=np.uint64)
        psi = np.array(amplitudes, dtype=np.float64)
        if determinants.ndim != 2 or psi.shape != (len(determinants),) or not len(psi):
            raise ValueError(f"{determinants.shape} determinants and {psi.shape} amplitudes do not fit")
        counts = np.bitwise_count(determinants).reshape(len(psi), 2, -1).sum(axis=2)
        if np.any(counts != counts[0]):
            raise ValueError("the determinants differ in their numbers of electrons")
        if spin_flip and counts[0, 0] != counts[0, 1]:
            raise ValueError("spin flip needs as many alpha as beta electrons")
        multiplicity = multiplicities(determinants, spin_flip)
        norm = float(np.sum(multiplicity * psi**2))
        if not np.isfinite(norm) or norm <= 0.0:
            raise ValueError("the amplitudes vanish or are not finite")
        psi /= np.sqrt(norm)
        weights = scipy.sparse.csr_matrix((multiplicity * psi**2)[None])
        codes = np.zeros(n_orbitals, np.int64) if irreps is None else np.array(irreps, np.int64)
        return cls(
            weights, np.ones(1), np.zeros(1, bool), None, kind, determinants,
            amplitudes=psi, n_orbitals=int(n_orbitals), spin_flip=bool(spin_flip), irreps=codes,
        )  # fmt: skip

    @classmethod
    def enumerated(cls, model: Lattice, log_psi: LogPsi) -> "Configurations":
        """Every configuration with its |psi|^2: averages are exact.

        Raises:
            InputError: More than 500,000 configurations.
            FloatingPointError: log psi is not a number, or psi vanishes everywhere.
        """
        require_enumerable(model)
        occupations = lattice_configurations(model).astype(np.int8)
        log_values = np.asarray(log_psi(occupations), dtype=complex)
        if np.any(np.isnan(log_values)) or not np.isfinite(largest := log_values.real.max()):
            raise FloatingPointError("log psi is not finite")
        kept = log_values.real > largest - _NEGLIGIBLE
        occupations, log_values = occupations[kept], log_values[kept]
        weights = np.exp(2.0 * (log_values.real - largest))
        weights /= weights.sum()
        return cls(
            scipy.sparse.csr_matrix(weights[None]), np.ones(1), np.zeros(1, bool), None, "full_sum",
            occupations, log_values,
        )  # fmt: skip

    @classmethod
    def sampled(cls, samples: np.ndarray, weights: np.ndarray | None = None) -> "Configurations":
        """Samples of |psi|^2, or of another distribution with weights.

        With fewer than 16 chains these must be several times 32 / chains autocorrelation times long for
        the errors to be right. Independent samples may be shaped into any number of chains.

        Args:
            samples: (chains, length, modes) of 0 and 1, alpha or up block first, each row in the order of its
                chain.
            weights: (chains, length) |psi|^2 over what was sampled, to any scale. Averages are then ratios,
                with the errors of the linearised ones.

        Raises:
            ValueError: Not such arrays, or too few samples for an error bar.
        """
        samples = np.asarray(samples)
        if samples.ndim != 3 or not np.all((samples == 0) | (samples == 1)):
            raise ValueError("samples must be (chains, length, modes) of zeros and ones")
        n_chains, length, n_modes = samples.shape
        batch, continues = batches(n_chains, length)
        if len(continues) < 3:
            raise ValueError(f"{n_chains} chains of {length} samples are too few for an error bar")
        rows = samples.reshape(-1, n_modes).astype(np.int8)
        keys, of_sample = merge_equal(pack_modes(rows))
        if weights is not None and np.shape(weights) != (n_chains, length):
            raise ValueError("weights must be (chains, length)")
        each = np.ones(len(rows)) if weights is None else np.ravel(weights)
        shape = (len(continues), len(keys))
        counts = scipy.sparse.coo_matrix((each, (batch.ravel(), of_sample)), shape=shape).tocsr()
        sizes = np.asarray(counts.sum(axis=1)).ravel()
        return cls(
            weights=(scipy.sparse.diags(1.0 / sizes) @ counts).tocsr(),
            shares=sizes / sizes.sum(),
            continues=continues,
            n_samples=len(rows),
            kind="vmc",
            rows=rows[first_rows(of_sample, len(keys))],
        )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def is_exact(self) -> bool:
        """True where averages are exact sums."""
        return self.n_samples is None

    @cached_property
    def occupations(self) -> np.ndarray:
        """(u, modes) int8, alpha or up block first."""
        if self.n_orbitals is None:
            return self.rows
        return unpack_occupations(self.rows, self.n_orbitals).astype(np.int8)

    @cached_property
    def determinants(self) -> np.ndarray:
        """(u, 2 W) bit strings."""
        return np.ascontiguousarray(pack_occupations(self.rows) if self.n_orbitals is None else self.rows)

    @cached_property
    def multiplicity(self) -> np.ndarray:
        """(u,) configurations that each entry stands for."""
        return multiplicities(self.determinants, self.spin_flip)

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
        error = np.zeros(np.shape(mean)) if self.is_exact else self.error(parts)
        return Estimate(mean[()], error[()], self.kind, "", n_samples=self.n_samples)

    def error(self, parts: np.ndarray) -> np.ndarray:
        """Standard error of the mean of averages (B, ...) over each batch."""
        return batch_error(parts, self.shares, self.continues)

    def without_one(self, parts: np.ndarray) -> np.ndarray:
        """Means over all batches but one, (B, ...), for the jackknife."""
        return without_one(parts, self.shares)

    def ratio(self, numerator: np.ndarray, denominator: np.ndarray) -> Estimate:
        """Ratio of two means given by their batches (B,), with the error of the linearised ratio.

        Not a number where the denominator vanishes.
        """
        mean = float(self.shares @ denominator)
        if abs(mean) < 1e-12:
            return Estimate(np.nan, np.nan, self.kind, "")
        value = float(self.shares @ numerator) / mean
        linear = (numerator - value * denominator) / mean
        return Estimate(value, self.estimate(linear).error, self.kind, "")

    def second_moments(self, field: np.ndarray) -> np.ndarray:
        """<f_i f_j> over each batch, (B, N, N), of a field (u, N)."""
        moments = np.empty((len(self.shares), field.shape[1], field.shape[1]))
        for batch in range(len(moments)):
            row = self.weights[batch]
            rows = field[row.indices]
            moments[batch] = rows.T @ (row.data[:, None] * rows)
        return moments

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

r"""States whose observables are measured, summed exactly or from samples of |psi|^2 with error bars.

Of an operator O on a molecule, with the weights w of the configurations,

.. math:: \langle O \rangle = \sum_i \frac{w_i}{\psi_i} \sum_j \langle i | O | j \rangle \psi_j

where j runs over V (psi vanishes elsewhere) for exact sums, and over everything that O reaches for samples:
the estimate is then unbiased. Errors come from the spread of batches; those of natural occupations and of the
inverse participation ratio, which are no linear functions of the samples, from the jackknife.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import scipy.sparse

from hamiltonians import Lattice, MolecularIntegrals, OrbitalProperties, SpaceGroup, irrep_bits, space_group
from nnbf.determinants import Amplitudes, determinant_irreps, unpack_occupations
from nnbf.determinants.density_sums import excited_determinants, one_body_sums, two_body_sums
from nnbf.estimate import Estimate
from nnbf.observables.density_matrices import TwoBodyDensity, energy_from_densities, require_two_body_room
from nnbf.observables.observable_registry import Observables, measure
from nnbf.observables.weighted_configurations import Configurations, LogPsi


def molecular_observables(
    integrals: MolecularIntegrals,
    configurations: Configurations,
    properties: OrbitalProperties | None = None,
    **options: Any,
) -> Observables:
    """All observables of a molecular state.

    Of samples, psi is evaluated on all determinants that single excitations and exchanges of spins reach from
    the distinct ones; for UHF orbitals, and with ``rdm2``, on those of double excitations as well.

    Args:
        integrals: The Hamiltonian whose orbitals the state is written in.
        configurations: `Configurations.expansion`, or `.sampled` from |psi|^2.
        properties: Dipole integrals and overlaps of these orbitals, where known.
        options: Further fields of `MolecularMeasurement`, such as ``log_psi``.

    Raises:
        ValueError: psi is complex or not finite, or there are too many orbitals for ``rdm2``.
    """
    return measure(MolecularMeasurement(integrals, configurations, properties, **options))


def lattice_observables(
    model: Lattice,
    configurations: Configurations,
    log_psi: LogPsi,
    *,
    group: SpaceGroup | None = None,
    momentum: Any = None,
) -> Observables:
    """All observables of a lattice state.

    Args:
        model: The model.
        configurations: `Configurations.enumerated` (up to 500,000) or `.sampled` from |psi|^2.
        log_psi: Occupations (n, modes) -> complex log psi (n,).
        group: Space group, where it is at hand.
        momentum: Momentum whose little group is measured; by default the one that is found.

    Raises:
        InputError: No such momentum.
        FloatingPointError: log psi is not finite.
    """
    group = space_group(model) if group is None else group
    return measure(LatticeMeasurement(model, configurations, log_psi, group, momentum))


@dataclass(frozen=True, eq=False)
class LatticeMeasurement:
    """A lattice state whose observables are measured; see `lattice_observables`."""

    model: Lattice
    configurations: Configurations
    log_psi: LogPsi
    group: SpaceGroup
    momentum: Any = None
    on: Literal["lattice"] = "lattice"
    """Kind of problem."""


@dataclass(eq=False)
class MolecularMeasurement:
    """A molecular state, with sums over the batches that several observables need; see the module."""

    integrals: MolecularIntegrals
    """The Hamiltonian."""
    configurations: Configurations
    """Determinants with their weights."""
    properties: OrbitalProperties | None = None
    """Dipole integrals and overlaps of the orbitals."""
    log_psi: LogPsi | None = None
    """log psi of occupations, real up to a sign; needed for samples, called with ``chunk_size`` rows."""
    rdm2: bool = False
    """Also make the two-particle density matrices (M^4 numbers) and check them."""
    n_largest: int = 10
    """Largest determinants that are listed."""
    chunk_size: int = 4096
    """Determinants that psi is evaluated on at once."""
    on: Literal["molecule"] = "molecule"
    """Kind of problem."""

    def __post_init__(self):
        """Evaluate psi on everything that the observables reach."""
        if self.rdm2:
            require_two_body_room(self.integrals.n_orbitals)
        self.overlap = None if self.properties is None else self.properties.overlap_alpha_beta
        own, rows = self.configurations, self.configurations.determinants
        if own.amplitudes is not None:
            self.irreps, table, psi = own.irreps, rows, own.amplitudes
        else:
            if self.log_psi is None:
                raise ValueError("observables of samples need log_psi")
            # If all samples lie in one irrep, that is the irrep of the state.
            codes = irrep_bits(self.integrals)
            single = len(np.unique(determinant_irreps(rows, codes))) == 1
            self.irreps = codes if single else np.zeros_like(codes)
            doubles: Literal["exchange", "mixed"] = "exchange" if self.overlap is None else "mixed"
            table = excited_determinants(rows, self.irreps, "all" if self.rdm2 else doubles)
            psi = _amplitudes(table, self.integrals.n_orbitals, self.log_psi, self.chunk_size)
            if np.any(psi[: len(rows)] == 0.0):
                raise ValueError("psi vanishes on a determinant that was drawn: these are no samples of it")
        self.psi = Amplitudes.listed(table, psi, own.spin_flip)

    @cached_property
    def bras(self) -> scipy.sparse.csr_matrix:
        """w_i / psi_i, (B, u)."""
        found, own = self.configurations.weights.copy(), self.configurations
        if own.amplitudes is None:
            found.data = found.data / self.psi.values[found.indices]
            return found
        # Where psi may vanish; rows that are not stored do not either.
        found.data = (own.multiplicity * own.amplitudes)[found.indices]
        return found

    @cached_property
    def one_body_raw(self) -> np.ndarray:
        """Density matrices (B, 2, M, M) of the batches, both triangles summed independently."""
        return np.stack([one_body_sums(*self._batch(batch)) for batch in range(self.bras.shape[0])])

    @cached_property
    def one_body_parts(self) -> np.ndarray:
        """Density matrices (B, 2, M, M) of the batches, symmetric."""
        return 0.5 * (self.one_body_raw + np.swapaxes(self.one_body_raw, -1, -2))

    @cached_property
    def one_body(self) -> np.ndarray:
        """Density matrices (2, M, M), symmetric."""
        return np.tensordot(self.configurations.shares, self.one_body_parts, axes=1)

    @cached_property
    def two_body(self) -> tuple[TwoBodyDensity, Estimate] | None:
        """Two-particle density matrices, and the energy that they give; None without ``rdm2``."""
        if not self.rdm2:
            return None
        size = self.integrals.n_orbitals
        pairs = size * (size - 1) // 2
        same, mixed = np.zeros((2, pairs, pairs)), np.zeros((size**2, size**2))
        energies = []
        for batch, share in enumerate(self.configurations.shares):
            found = TwoBodyDensity(*two_body_sums(*self._batch(batch)))
            same += share * found.same
            mixed += share * found.mixed
            energies.append(energy_from_densities(self.integrals, self.one_body_parts[batch], found))
        return TwoBodyDensity(same, mixed), self.configurations.estimate(np.array(energies))

    def _batch(self, batch):
        """Arguments of the sums of one batch: its determinants, w_i / psi_i, and psi_j."""
        row = self.bras[batch]
        return self.configurations.determinants[row.indices], row.data, self.psi, self.irreps


def _amplitudes(table, n_orbitals, log_psi, chunk_size):
    """Real amplitudes (n,) of any norm."""
    logs = []
    for start in range(0, len(table), chunk_size):
        rows = table[start : start + chunk_size]
        padded = np.concatenate([rows, np.repeat(rows[:1], chunk_size - len(rows), axis=0)])
        occupations = unpack_occupations(padded, n_orbitals).astype(np.float64)
        logs.append(np.asarray(log_psi(occupations))[: len(rows)])
    values = np.concatenate(logs)
    phase = np.exp(1j * (np.imag(values) - np.imag(values[0])))
    size = np.real(values)
    if np.any(np.isnan(size)) or np.any(size == np.inf):
        raise ValueError("log psi is not finite")
    relevant = size - size.max() > -30.0
    if np.any(np.abs(phase.imag[relevant]) > 1e-6):
        raise ValueError("psi is complex: observables are known for real wave functions only")
    return np.where(phase.real < 0, -1.0, 1.0) * np.exp(size - size.max())

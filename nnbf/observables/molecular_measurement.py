r"""Observables of molecular states, summed exactly or from samples of |psi|^2 with error bars.

Of an operator O, with the weights w of the configurations,

.. math:: \langle O \rangle = \sum_i \frac{w_i}{\psi_i} \sum_j \langle i | O | j \rangle \psi_j

where j runs over V (psi vanishes elsewhere) for exact sums, and over everything that O reaches for samples:
the estimate is then unbiased. Errors come from the spread of batches; those of natural occupations and of the
inverse participation ratio, which are no linear functions of the samples, from the jackknife.
"""

from functools import cached_property
from typing import Literal

import numpy as np
import scipy.sparse

from hamiltonians import MolecularIntegrals, OrbitalProperties, irrep_bits
from nnbf.determinants import build_hash_table, determinant_irrep, occupied_spin_orbitals, unpack_occupations
from nnbf.determinants.density_sums import one_body_sums, two_body_sums
from nnbf.determinants.excited import excited_determinants
from nnbf.estimate import Estimate
from nnbf.observables.density_matrices import TwoBodyDensity, energy_from_densities, require_two_body_room
from nnbf.observables.observable_registry import Observables, measure
from nnbf.observables.weighted_configurations import Configurations, LogPsi


def molecular_observables(
    integrals: MolecularIntegrals,
    configurations: Configurations,
    properties: OrbitalProperties | None = None,
    *,
    log_psi: LogPsi | None = None,
    rdm2: bool = False,
    n_largest: int = 10,
    chunk_size: int = 4096,
) -> Observables:
    """All observables of a molecular state.

    Of samples, psi is evaluated on all determinants that single excitations and exchanges of spins reach from
    the distinct ones; for UHF orbitals, and with ``rdm2``, on those of double excitations as well.

    Args:
        integrals: The Hamiltonian whose orbitals the state is written in.
        configurations: `Configurations.expansion`, or `.sampled` from |psi|^2.
        properties: Dipole integrals and overlaps of these orbitals, where known.
        log_psi: log psi of occupations, real up to a sign; needed for samples. Always called with
            ``chunk_size`` rows.
        rdm2: Also make the two-particle density matrices (M^4 numbers) and check them.
        n_largest: Largest determinants that are listed.
        chunk_size: Determinants that psi is evaluated on at once.

    Raises:
        ValueError: psi is complex or not finite, or there are too many orbitals for ``rdm2``.
    """
    if rdm2:
        require_two_body_room(integrals.n_orbitals)
    found = MolecularMeasurement(integrals, configurations, properties, log_psi, rdm2, n_largest, chunk_size)
    return measure(found)


class MolecularMeasurement:
    """Sums over the batches, with psi on everything that they reach; see the module."""

    on: Literal["molecule"] = "molecule"

    def __init__(
        self,
        integrals: MolecularIntegrals,
        configurations: Configurations,
        properties: OrbitalProperties | None = None,
        log_psi: LogPsi | None = None,
        rdm2: bool = False,
        n_largest: int = 10,
        chunk_size: int = 4096,
    ):
        """Evaluate psi; the arguments are those of `molecular_observables`."""
        self.integrals, self.configurations, self.properties = integrals, configurations, properties
        self.rdm2, self.n_largest = rdm2, n_largest
        self.overlap = None if properties is None else properties.overlap_alpha_beta
        rows = configurations.determinants
        if configurations.amplitudes is not None:
            self.irreps = configurations.irreps
            self.table, self.psi = rows, configurations.amplitudes
        else:
            if log_psi is None:
                raise ValueError("observables of samples need log_psi")
            self.irreps = _irreps(integrals, rows)
            doubles: Literal["exchange", "mixed", "all"] = "exchange" if self.overlap is None else "mixed"
            self.table = excited_determinants(rows, self.irreps, "all" if rdm2 else doubles)
            self.psi = _amplitudes(self.table, integrals.n_orbitals, log_psi, chunk_size)
            if np.any(self.psi[: len(rows)] == 0.0):
                raise ValueError("psi vanishes on a determinant that was drawn: these are no samples of it")
        self.slots = build_hash_table(self.table)

    @cached_property
    def bras(self) -> scipy.sparse.csr_matrix:
        """w_i / psi_i, (B, u)."""
        found, own = self.configurations.weights.copy(), self.configurations
        if own.amplitudes is None:
            found.data = found.data / self.psi[found.indices]
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
        rows = self.configurations.determinants[row.indices]
        return rows, row.data, self.table, self.slots, self.psi, self.irreps, self.configurations.spin_flip


def _irreps(integrals, determinants):
    """Codes of the orbitals if all samples lie in one irrep, which then is that of the state; else zeros."""
    codes = irrep_bits(integrals)
    found = set()
    for orbitals in occupied_spin_orbitals(determinants, integrals.n_orbitals):
        size = integrals.n_orbitals
        alpha, beta = orbitals[orbitals < size], orbitals[orbitals >= size] - size
        found.add(int(determinant_irrep(alpha, beta, codes)))
        if len(found) > 1:
            return np.zeros_like(codes)
    return codes


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

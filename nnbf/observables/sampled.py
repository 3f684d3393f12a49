r"""Observables of a state from samples of |psi|^2, with error bars.

Of an operator O the samples i give the unbiased estimate

.. math:: \langle O \rangle \approx \frac1N \sum_i \sum_j \langle i | O | j \rangle \frac{\psi_j}{\psi_i}

Errors come from the spread of independent batches; those of natural occupations and of the inverse
participation ratio, which are no linear functions of the samples, from the jackknife.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from hamiltonians import MolecularIntegrals, OrbitalProperties, irrep_bits
from nnbf.determinants import build_hash_table, determinant_irrep, occupied_spin_orbitals, unpack_occupations
from nnbf.determinants.density_sums import one_body_sums, two_body_sums
from nnbf.determinants.excited import excited_determinants
from nnbf.determinants.spin_ladder import lowered_raised
from nnbf.observables.composition import WeightedDeterminant, split_spins
from nnbf.observables.density import TwoBodyDensity, energy_from_densities, require_two_body_room
from nnbf.observables.dipole import dipole_moment
from nnbf.observables.natural import natural_orbitals
from nnbf.observables.representability import one_body_checks, two_body_checks
from nnbf.observables.result import Estimate, Observables
from nnbf.observables.samples import Samples, jackknife_error
from nnbf.observables.spin import active_overlap, frozen_spin

LogAmplitudes = Callable[[np.ndarray], Any]
"""Occupations (n, 2M) of 0.0 and 1.0, alpha first -> complex log psi (n,): `log_value` of NetKet's
states."""


def sampled_observables(
    integrals: MolecularIntegrals,
    samples: Samples,
    log_psi: LogAmplitudes,
    properties: OrbitalProperties | None = None,
    *,
    rdm2: bool = False,
    n_largest: int = 10,
    chunk_size: int = 4096,
) -> Observables:
    """All observables of a sampled state, of kind vmc.

    psi is evaluated on all determinants that single excitations and exchanges of spins reach from the
    distinct samples; for UHF orbitals, and with ``rdm2``, on those of double excitations as well.

    Args:
        integrals: The Hamiltonian whose orbitals psi is written in.
        samples: Samples of |psi|^2.
        log_psi: log psi of occupations, real up to a sign; see `LogAmplitudes`. Always called with
            ``chunk_size`` rows.
        properties: Dipole integrals and overlaps of these orbitals, where known.
        rdm2: Also make the two-particle density matrices.
        n_largest: How many of the largest determinants to list.
        chunk_size: Determinants that psi is evaluated on at once.

    Raises:
        ValueError: psi is complex or not finite, or there are too many orbitals for ``rdm2``.
    """
    if rdm2:
        require_two_body_room(integrals.n_orbitals)
    sums = _Sums(integrals, samples, log_psi, properties, rdm2, chunk_size)
    n_alpha, n_beta = integrals.n_alpha, integrals.n_beta
    parts = sums.one_body()
    one_body = samples.mean(parts)
    overlap = sums.overlap

    def natural(matrices):
        return natural_orbitals(
            matrices, sums.irreps, spin_resolved=integrals.is_spin_resolved, overlap=overlap
        )

    orbitals = natural(one_body)
    occupations = None
    if orbitals.occupations is not None:
        left_out = [natural(part).occupations for part in samples.without_one(parts)]
        occupations = Estimate(orbitals.occupations, jackknife_error(np.array(left_out)))
    spin = None
    if not integrals.is_spin_resolved or overlap is not None:
        spin = _averaged(samples, sums.s_squared(parts))
    dipole = dipole_moment(properties, parts)
    checks = one_body_checks(one_body, n_alpha, n_beta)
    two_body = energy = None
    if rdm2:
        two_body, energies = sums.two_body(parts)
        energy = _averaged(samples, energies)
        checks |= two_body_checks(two_body, one_body, n_alpha, n_beta)
    return Observables(
        kind="vmc",
        n_determinants=len(samples.determinants),
        s_z=Estimate(0.5 * (n_alpha - n_beta)),
        s_squared=spin,
        dipole=None if dipole is None else _averaged(samples, dipole),
        one_body=one_body,
        one_body_error=samples.error(parts),
        natural=orbitals,
        natural_occupations=occupations,
        inverse_participation_ratio=_participation(samples),
        largest_determinants=_most_frequent(samples, integrals.n_orbitals, n_largest),
        checks=checks,
        two_body=two_body,
        energy_from_densities=energy,
        n_samples=samples.n_samples,
    )


class _Sums:
    """Averages over the batches, with psi on everything that they reach."""

    def __init__(self, integrals, samples, log_psi, properties, rdm2, chunk_size):
        self.integrals, self.samples = integrals, samples
        self.overlap = None if properties is None else properties.overlap_alpha_beta
        self.irreps = _irreps(integrals, samples.determinants)
        doubles: Literal["exchange", "mixed", "all"] = "exchange" if self.overlap is None else "mixed"
        if rdm2:
            doubles = "all"
        self.table = excited_determinants(samples.determinants, self.irreps, doubles)
        self.slots = build_hash_table(self.table)
        self.psi = _amplitudes(self.table, integrals.n_orbitals, log_psi, chunk_size)
        self.own = self.psi[: len(samples.determinants)]
        if np.any(self.own == 0.0):
            raise ValueError("psi vanishes on a determinant that was drawn: these are no samples of it")

    def _rows(self, batch):
        """Arguments of the sums of one batch: its determinants, a_i = (share of i) / psi_i, and psi_j."""
        row = self.samples.weights[batch]
        rows, weights = self.samples.determinants[row.indices], row.data / self.own[row.indices]
        return rows, weights, self.table, self.slots, self.psi, self.irreps, False

    def one_body(self):
        """Density matrices (B, 2, M, M) of the batches, symmetric."""
        parts = np.stack([one_body_sums(*self._rows(batch)) for batch in range(len(self.samples.shares))])
        return 0.5 * (parts + np.swapaxes(parts, -1, -2))

    def two_body(self, one_body):
        """Mean two-particle density matrices, and the energies (B,) that the batches give with theirs."""
        size = self.integrals.n_orbitals
        pairs = size * (size - 1) // 2
        same, mixed = np.zeros((2, pairs, pairs)), np.zeros((size**2, size**2))
        energies = []
        for batch, share in enumerate(self.samples.shares):
            found = TwoBodyDensity(*two_body_sums(*self._rows(batch)))
            same += share * found.same
            mixed += share * found.mixed
            energies.append(energy_from_densities(self.integrals, one_body[batch], found))
        return TwoBodyDensity(same, mixed), np.array(energies)

    def s_squared(self, one_body):
        """<S^2> of the batches, (B,)."""
        size = self.integrals.n_orbitals
        active = None if self.overlap is None else active_overlap(self.overlap, size)
        local = (
            lowered_raised(self.samples.determinants, self.table, self.slots, self.psi, size, False, active)
            / self.own
        )
        s_z = 0.5 * (self.integrals.n_alpha - self.integrals.n_beta)
        parts = s_z * (s_z + 1.0) + self.samples.weights @ local
        if self.overlap is not None and len(self.overlap) > size:
            parts = parts + np.array([frozen_spin(self.overlap, part) for part in one_body])
        return parts


def _averaged(samples: Samples, parts: np.ndarray) -> Estimate:
    return Estimate(samples.mean(parts), samples.error(parts))


def _irreps(integrals, determinants):
    """Codes of the orbitals if all samples lie in one irrep, which then is that of the state; else zeros."""
    codes = irrep_bits(integrals)
    found = set()
    for orbitals in occupied_spin_orbitals(determinants, integrals.n_orbitals):
        alpha, beta = split_spins(orbitals, integrals.n_orbitals)
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


def _participation(samples: Samples) -> Estimate:
    """Sum of |psi|^4 as the probability that samples of two different batches coincide."""
    overlaps = (samples.weights @ samples.weights.T).toarray()
    np.fill_diagonal(overlaps, 0.0)
    n = len(overlaps)
    total = overlaps.sum()
    without_one = (total - 2.0 * overlaps.sum(axis=0)) / ((n - 1) * (n - 2))
    return Estimate(float(total / (n * (n - 1))), float(jackknife_error(without_one)))


def _most_frequent(samples: Samples, n_orbitals: int, count: int) -> tuple[WeightedDeterminant, ...]:
    mean = samples.weights.T @ samples.shares
    order = np.argsort(-mean, kind="stable")[:count]
    parts = samples.weights[:, order].toarray()
    errors = samples.error(parts)
    orbitals = occupied_spin_orbitals(samples.determinants[order], n_orbitals)
    return tuple(
        WeightedDeterminant(*split_spins(row, n_orbitals), float(mean[k]), None, float(error))
        for k, row, error in zip(order, orbitals, errors, strict=True)
    )

"""Energies of the different kinds, and <S^2>, of a selected-space state.

Kinds are defined in ``docs/energies.md``. Each estimate says whether it is an upper bound.
"""

from dataclasses import dataclass

import numpy as np

from hamiltonians import MolecularIntegrals
from nnbf.determinants import (
    Amplitudes,
    ConnectedSpace,
    IntegralTables,
    determinant_from_orbitals,
    determinant_irreps,
    diagonal_elements,
    enumerate_sector,
    multiplicities,
    sector_dimension,
)
from nnbf.determinants.parallel import sparse_times_vector
from nnbf.determinants.rows import applied_rows, connected_partitions
from nnbf.determinants.spin_ladder import lowered_raised
from nnbf.states.space_state import SpaceState

#: Smallest Epstein-Nesbet denominator, Hartree: below it a determinant belongs into V.
SMALLEST_DENOMINATOR = 1e-3


@dataclass(frozen=True)
class ConnectedEstimates:
    """Results of one pass over the connected space."""

    projected: float | None
    """Energy with the amplitudes of the network on C: sum_V w_i E_loc(i), Hartree; no bound."""
    second_order: float
    """Epstein-Nesbet correction, Hartree (negative)."""
    variance: float
    """<(H - E)^2> of the state on V, the part that leaves V included, Hartree^2."""
    n_connected: int
    """Determinants of C (representatives)."""


def connected_estimates(
    state: SpaceState, *, projected: bool = True, threshold: float = 0.0
) -> ConnectedEstimates:
    """Projected energy, second-order correction and full variance, in one pass over C.

    Args:
        state: The state.
        projected: Evaluate the network on C (the expensive part).
        threshold: Couplings ``|H_ji psi_i|`` below this (Hartree) are skipped; 0 is exact.
    """
    amplitudes = state.amplitudes()
    product = sparse_times_vector(state.matrix, amplitudes)
    energy = float(amplitudes @ product)
    variance = float(np.sum((product - energy * amplitudes) ** 2))
    psi = state.wave_function()
    correction = outside = 0.0
    count = 0
    for keys, sums in connected_partitions(
        state.hamiltonian.tables, state.determinants, psi, state.spin_flip, threshold
    ):
        if len(keys) == 0:
            continue
        weight = multiplicities(keys, state.spin_flip)
        correction += second_order(state.hamiltonian.tables, keys, sums, energy, state.spin_flip)
        variance += float(np.sum(weight * sums**2))
        count += len(keys)
        if projected:
            outside += float(np.sum(weight * sums * state.values_on(keys)))
    return ConnectedEstimates(energy + outside if projected else None, correction, variance, count)


def second_order(
    tables: IntegralTables, determinants: np.ndarray, couplings: np.ndarray, energy: float, spin_flip: bool
) -> float:
    """Epstein-Nesbet correction, Hartree, of determinants (n, 2 W) outside a space of some energy.

    Args:
        tables: Integral tables.
        determinants: Bit strings.
        couplings: ``sum_i H_ji psi_i`` (n,), Hartree, to the normalised state on the space.
        energy: Of that state, Hartree.
        spin_flip: Whether entries stand for spin-flip pairs.
    """
    outside = ConnectedSpace(determinants, couplings, diagonal_elements(tables, determinants))
    return second_order_of(outside, energy, spin_flip)


def second_order_of(outside: ConnectedSpace, energy: float, spin_flip: bool) -> float:
    """The same of a connected space, whose diagonal is known."""
    weight = multiplicities(outside.determinants, spin_flip)
    return -float(np.sum(weight * outside.couplings**2 / energy_gaps(outside, energy)))


def energy_gaps(outside: ConnectedSpace, energy: float) -> np.ndarray:
    """Epstein-Nesbet denominators (n,) of a connected space above an energy, Hartree, positive."""
    return np.maximum(outside.diagonal - energy, SMALLEST_DENOMINATOR)


def symmetry_sector(state: SpaceState, irreps: np.ndarray, limit: int) -> np.ndarray | None:
    """All determinants of the reference's symmetry sector, or None where there are more than ``limit``.

    Args:
        state: The state.
        irreps: (M,) XOR codes of the orbital irreps (zeros where unknown).
        limit: Most determinants (representatives) to enumerate.
    """
    integrals = state.hamiltonian.integrals
    total = sector_dimension(integrals.n_orbitals, integrals.n_alpha, integrals.n_beta)
    smaller = (2 if state.spin_flip else 1) * max(1, len(np.unique(irreps)))
    if total > 1.2 * limit * smaller:
        return None
    sector = reference_sector(integrals, irreps, state.spin_flip)
    return sector if len(sector) <= limit else None


def reference_sector(integrals: MolecularIntegrals, irreps: np.ndarray, spin_flip: bool) -> np.ndarray:
    """All determinants (n, 2 W) in the irrep of the reference, however many.

    Args:
        integrals: The Hamiltonian's integrals.
        irreps: (M,) XOR codes of the orbital irreps (zeros where unknown).
        spin_flip: List one determinant of every spin-flip pair.
    """
    reference = determinant_from_orbitals(*integrals.reference_occupation, integrals.n_orbitals)
    return enumerate_sector(
        integrals.n_orbitals,
        integrals.n_alpha,
        integrals.n_beta,
        irreps,
        int(determinant_irreps(reference, irreps)[0]),
        spin_flip,
    )


def sector_amplitudes(state: SpaceState, sector: np.ndarray) -> np.ndarray:
    """Amplitudes psi (n,) on a whole sector, normalised over all determinants that its entries stand for."""
    sign, log_abs = state.signed_log(sector)
    weight = multiplicities(sector, state.spin_flip)
    psi = sign * np.exp(log_abs - np.max(log_abs))
    return psi / np.sqrt(np.sum(weight * psi**2))


def full_sum_energy(
    state: SpaceState, sector: np.ndarray, psi: np.ndarray | None = None
) -> tuple[float, float]:
    """Rayleigh quotient and variance of psi on a whole sector: an upper bound of its ground state.

    The Hamiltonian is applied without storing it.

    Args:
        state: The state.
        sector: (n, 2 W) bit strings.
        psi: Its :func:`sector_amplitudes`, where they are known already.

    Returns:
        (energy, variance), Hartree and Hartree^2.
    """
    if psi is None:
        psi = sector_amplitudes(state, sector)
    weight = multiplicities(sector, state.spin_flip)
    product = apply_hamiltonian(state, sector, psi)
    energy = float(np.sum(weight * psi * product))
    return energy, float(np.sum(weight * (product - energy * psi) ** 2))


def apply_hamiltonian(state: SpaceState, determinants: np.ndarray, psi: np.ndarray) -> np.ndarray:
    """``H psi`` (n,) within a list of determinants, matrix elements made on the fly."""
    listed = Amplitudes.listed(determinants, psi, state.spin_flip)
    return applied_rows(state.hamiltonian.tables, determinants, listed, len(determinants))[:, 0]


def spin_square(state: SpaceState) -> float | None:
    """<S^2> of the state on V; None for spin-resolved orbitals (:mod:`nnbf.observables` has those)."""
    integrals = state.hamiltonian.integrals
    if integrals.is_spin_resolved:
        return None
    determinants, psi = state.determinants, state.wave_function()
    listed = Amplitudes.listed(determinants, psi, state.spin_flip)
    lowered = lowered_raised(determinants, listed, integrals.n_orbitals)
    s_z = 0.5 * (integrals.n_alpha - integrals.n_beta)
    return float(s_z * (s_z + 1.0) + np.sum(state.multiplicity * psi * lowered))

r"""Spin of states: of molecules in restricted or spin-resolved orbitals, with frozen cores and active spaces.

``S^2 = S_z (S_z + 1) + S_- S_+``. With overlaps ``O_pq`` of alpha with beta orbitals, active ones p, q, r,
s and frozen ones c, d, and the density matrices of the active electrons,

.. math::
    \langle S_- S_+ \rangle = N_\beta - \sum_{pqrs} O_{pq} O_{rs} \Gamma^{\alpha\beta}_{rp,qs}
    + C - \sum_{cd} O_{cd}^2 - \sum_{pr} \gamma^\alpha_{pr} \sum_d O_{pd} O_{rd}
    - \sum_{qs} \gamma^\beta_{qs} \sum_c O_{cq} O_{cs}

for ``N_beta`` active beta electrons and C doubly frozen orbitals. A turned beta electron may leave the
alpha orbitals: nothing is assumed of the spaces that the two sets span.
"""

from typing import TYPE_CHECKING

import numpy as np

from hamiltonians.errors import InputError
from hamiltonians.lattice.model import Lattice
from nnbf.determinants.spin_ladder import lowered_raised
from nnbf.estimate import Estimate
from nnbf.observables.observable_registry import observable
from nnbf.observables.weighted_configurations import Configurations, LogPsi
from nnbf.operators.lattice import doubly_occupied, s_squared_diagonal, spin_exchanges

if TYPE_CHECKING:
    from nnbf.observables.measurements import LatticeMeasurement, MolecularMeasurement


def active_overlap(overlap: np.ndarray, n_orbitals: int) -> np.ndarray:
    """The block of the active orbitals, (M, M).

    Raises:
        ValueError: The overlap is smaller than that, or not square.
    """
    overlap = np.asarray(overlap)
    if overlap.ndim != 2 or overlap.shape[0] != overlap.shape[1] or len(overlap) < n_orbitals:
        raise ValueError(f"overlap of shape {overlap.shape} for {n_orbitals} active orbitals")
    first = len(overlap) - n_orbitals
    return np.ascontiguousarray(overlap[first:, first:])


def frozen_spin(overlap: np.ndarray, one_body: np.ndarray) -> float:
    """The terms of <S_- S_+> with frozen orbitals: see the module.

    Args:
        overlap: (C + M, C + M), frozen orbitals first.
        one_body: (2, M, M).
    """
    first = len(overlap) - one_body.shape[-1]
    alpha, beta = overlap[first:, :first], overlap[:first, first:]
    return float(
        first
        - np.sum(overlap[:first, :first] ** 2)
        - np.sum(one_body[0] * (alpha @ alpha.T))
        - np.sum(one_body[1] * (beta.T @ beta))
    )


@observable("s_squared", on=("molecule",), label="⟨S²⟩")
def molecular_s_squared(measured: "MolecularMeasurement") -> Estimate | None:
    """<S^2>: S (S + 1) for total spin S; None where alpha and beta orbitals differ by an unknown overlap.

    Raises:
        ValueError: The overlap has a wrong shape, or the state is folded by spin flip although its
            orbitals differ.
    """
    overlap, configurations = measured.overlap, measured.configurations
    if measured.integrals.is_spin_resolved and overlap is None:
        return None
    if overlap is not None and configurations.spin_flip:
        raise ValueError("spin flip symmetry needs the same orbitals for both spins")
    size = measured.integrals.n_orbitals
    active = None if overlap is None else active_overlap(overlap, size)
    applied = lowered_raised(configurations.determinants, measured.psi, size, active)
    s_z = 0.5 * (measured.integrals.n_alpha - measured.integrals.n_beta)
    parts = s_z * (s_z + 1.0) + measured.bras @ applied
    if overlap is not None and len(overlap) > size:
        parts = parts + np.array([frozen_spin(overlap, part) for part in measured.one_body_parts])
    return configurations.estimate(parts)


@observable("s_z", on=("molecule",), label="S_z")
def s_z(measured: "MolecularMeasurement") -> Estimate:
    """Spin projection."""
    return Estimate(0.5 * (measured.integrals.n_alpha - measured.integrals.n_beta))


@observable("s_squared", on=("lattice",), label="⟨S²⟩")
def _s_squared(measured: "LatticeMeasurement") -> Estimate | None:
    if not measured.model.is_spinful:
        return None
    return lattice_s_squared(measured.model, measured.configurations, measured.log_psi)


@observable("double_occupancy", on=("lattice",), label="doubly occupied sites")
def _double_occupancy(measured: "LatticeMeasurement") -> Estimate | None:
    return double_occupancy(measured.model, measured.configurations) if measured.model.is_spinful else None


def lattice_s_squared(model: Lattice, configurations: Configurations, log_psi: LogPsi) -> Estimate:
    """<S^2> of a Hubbard state: S (S + 1) for total spin S.

    Raises:
        InputError: The model is spinless.
        FloatingPointError: log psi is not finite.
    """
    _require_spin(model)
    up, down = model.particles
    most = max(1, min(up, model.n_sites - down) * min(down, model.n_sites - up))

    def images_of(occupations):
        return spin_exchanges(occupations, model.n_sites)

    exchanges = configurations.off_diagonal(log_psi, images_of, most)
    diagonal = s_squared_diagonal(configurations.occupations, model.n_sites)
    return configurations.average(diagonal + exchanges.real)


def double_occupancy(model: Lattice, configurations: Configurations) -> Estimate:
    """Share of doubly occupied sites, (1 / N_s) sum_i <n_up n_down>.

    Raises:
        InputError: The model is spinless.
    """
    _require_spin(model)
    return configurations.average(doubly_occupied(configurations.occupations, model.n_sites).mean(axis=1))


def _require_spin(model):
    if not model.is_spinful:
        raise InputError("spin of a spinless model: give a Hubbard model")

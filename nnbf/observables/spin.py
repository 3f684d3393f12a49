r"""<S^2> of a state in restricted or spin-resolved orbitals, with frozen cores and active spaces.

``S^2 = S_z (S_z + 1) + S_- S_+``. With overlaps ``O_pq`` of alpha with beta orbitals, active ones p, q, r,
s and frozen ones c, d, and the density matrices of the active electrons,

.. math::
    \langle S_- S_+ \rangle = N_\beta - \sum_{pqrs} O_{pq} O_{rs} \Gamma^{\alpha\beta}_{rp,qs}
    + C - \sum_{cd} O_{cd}^2 - \sum_{pr} \gamma^\alpha_{pr} \sum_d O_{pd} O_{rd}
    - \sum_{qs} \gamma^\beta_{qs} \sum_c O_{cq} O_{cs}

for ``N_beta`` active beta electrons and C doubly frozen orbitals. A turned beta electron may leave the
alpha orbitals: nothing is assumed of the spaces that the two sets span.
"""

import numpy as np

from nnbf.determinants.spin_ladder import lowered_raised
from nnbf.observables.density import one_body_density
from nnbf.observables.expansion import Expansion


def s_squared(
    expansion: Expansion, overlap: np.ndarray | None = None, one_body: np.ndarray | None = None
) -> float:
    """<S^2> of a state.

    Args:
        expansion: The state.
        overlap: (C + M, C + M) overlap of alpha with beta orbitals, the C frozen ones first; None where
            both spins have the same orbitals.
        one_body: (2, M, M) density matrices, where they are known already.

    Raises:
        ValueError: The overlap has a wrong shape, or the state is folded by spin flip although its
            orbitals differ.
    """
    if overlap is not None and expansion.spin_flip:
        raise ValueError("spin flip symmetry needs the same orbitals for both spins")
    active = None if overlap is None else active_overlap(overlap, expansion.n_orbitals)
    applied = lowered_raised(
        expansion.determinants,
        expansion.determinants,
        expansion.slots,
        expansion.amplitudes,
        expansion.n_orbitals,
        expansion.spin_flip,
        active,
    )
    s_z = expansion.s_z
    total = s_z * (s_z + 1.0) + float(np.sum(expansion.weights * applied))
    if overlap is not None and len(overlap) > expansion.n_orbitals:
        if one_body is None:
            one_body = one_body_density(expansion)
        total += frozen_spin(overlap, one_body)
    return total


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

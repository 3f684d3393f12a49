r"""Which Slater determinants of free orbitals have a part in a symmetry sector.

The lowest filling need not: a closed shell is in one irrep, and the projections on the others vanish. A
sector starts from the lowest fillings whose projection

.. math:: P\Phi = \sum_g w_g\, \hat g \Phi, \qquad \langle\Phi|P\Phi\rangle = \sum_g w_g \det[M^\dagger (gM)]

is there, each of them new: fillings that the point group turns into one another count once.
"""

from collections.abc import Sequence

import numpy as np

from nnbf.ansatz.spin_projection import rotated, spin_rotations
from nnbf.ansatz.symmetry import SymmetryElements

#: Least squared norm of a projected determinant, and least part of it that is new.
_LEAST = 1e-6


def independent_in_sector(
    orbitals: Sequence[Sequence[np.ndarray]],
    symmetry: SymmetryElements,
    most: int,
    total_spin: float | None = None,
) -> list[int]:
    """Numbers of the determinants that are new in a sector, in the order given, up to `most`.

    Args:
        orbitals: For each determinant and each spin orthonormal rows (N, n_sites).
        symmetry: Elements and weights of the projector.
        most: How many to look for.
        total_spin: Total spin that they are projected on as well.
    """
    weights, spin_flips = np.asarray(symmetry.weights), np.asarray(symmetry.spin_flips)
    sources = np.argsort(np.asarray(symmetry.permutations), axis=1)
    moved_phases = np.take_along_axis(np.asarray(symmetry.phases), sources, axis=1)
    used = np.flatnonzero(np.abs(weights) > 1e-14)
    chosen: list[int] = []
    gram = np.zeros((0, 0), complex)
    for candidate, determinant in enumerate(orbitals):
        moved = [[rows[:, sources[g]] * moved_phases[g] for rows in determinant] for g in used]
        column = np.array(
            [
                _projected_overlap(orbitals[other], moved, weights[used], spin_flips[used], total_spin)
                for other in [*chosen, candidate]
            ]
        )
        norm = column[-1].real
        if norm < _LEAST:
            continue
        known = column[:-1]
        new = norm - (known.conj() @ np.linalg.solve(gram, known)).real if chosen else norm
        if new < _LEAST * norm:
            continue
        grown = np.zeros((len(chosen) + 1,) * 2, complex)
        grown[:-1, :-1], grown[:-1, -1], grown[-1, :-1], grown[-1, -1] = gram, known, known.conj(), norm
        gram = grown
        chosen.append(candidate)
        if len(chosen) == most:
            break
    return chosen


def _projected_overlap(left, moved, weights, flips, total_spin) -> complex:
    """<left|P right> of products of determinants, with g right given for every g."""
    spins = range(len(left))
    right = [
        [m[len(left) - 1 - spin if flip else spin] for m, flip in zip(moved, flips, strict=True)]
        for spin in spins
    ]
    if any(len(left[spin]) != len(rows) for spin in spins for rows in right[spin]):
        return 0.0
    overlaps = [[np.einsum("mi,gni->gmn", left[s].conj(), np.array(right[t])) for t in spins] for s in spins]
    if total_spin is None:
        return complex(weights @ np.prod([np.linalg.det(overlaps[s][s]) for s in spins], axis=0))
    particles = (len(left[0]), len(left[1]))
    cosines, sines, of_angles = spin_rotations(total_spin, particles, left[0].shape[1])
    turned = np.asarray(rotated(overlaps, cosines, sines))
    return complex(weights @ np.linalg.det(turned) @ of_angles)

"""Energies of single determinants, and the search for a good reference determinant."""

from itertools import combinations

import numpy as np

from hamiltonians.integrals import MolecularIntegrals, Occupation, irrep_bits
from hamiltonians.packing import pair_indices

_MAX_SEARCH_STEPS = 100
_BLOCK = 4_000_000  # double excitations looked at together; bounds the memory of one step


def determinant_energy(integrals: MolecularIntegrals, occupation: Occupation | None = None) -> float:
    """Return <D|H|D> in Hartree.

    Args:
        integrals: The Hamiltonian.
        occupation: Occupied (alpha, beta) orbitals; the reference determinant by default.
    """
    field, coupling = _diagonal(integrals)
    occupied = _spin_orbitals(occupation or integrals.reference_occupation, integrals.n_orbitals)
    block = coupling[np.ix_(occupied, occupied)]
    return float(integrals.constant + field[occupied].sum() + 0.5 * block.sum())


def lowest_determinant(
    integrals: MolecularIntegrals, start: Occupation, target_irrep: int | None = None
) -> Occupation:
    """Descend in diagonal energy by single and double excitations until none lowers it.

    Args:
        integrals: The Hamiltonian; its irreps restrict the search where known.
        start: Occupied (alpha, beta) orbitals to begin from.
        target_irrep: Irrep code to end in; that of `start` by default. Where it differs, the first
            step takes the lowest excitation that leads there (or stays where none does).

    Returns:
        Occupied (alpha, beta) orbitals.
    """
    size = integrals.n_orbitals
    field, coupling = _diagonal(integrals)
    bits = np.tile(irrep_bits(integrals), 2)
    occupied = _spin_orbitals(start, size)
    irrep = int(np.bitwise_xor.reduce(bits[occupied], initial=0))
    wanted = irrep if target_irrep is None else target_irrep
    for _ in range(_MAX_SEARCH_STEPS):
        change, removed, added = _best_excitation(field, coupling, bits, occupied, irrep ^ wanted)
        if not removed or (irrep == wanted and change > -1e-9):
            break
        occupied = sorted((set(occupied) - set(removed)) | set(added))
        irrep = wanted
    return (
        tuple(orbital for orbital in occupied if orbital < size),
        tuple(orbital - size for orbital in occupied if orbital >= size),
    )


def _diagonal(integrals: MolecularIntegrals) -> tuple[np.ndarray, np.ndarray]:
    """Return h_p (2M,) and W_pq = J_pq - K_pq [same spin] (2M, 2M) over blocked spin orbitals."""
    one_body, (aa, ab, bb) = integrals.spin_blocks
    index = pair_indices(integrals.n_orbitals)
    diagonal = np.ix_(np.diag(index), np.diag(index))
    mixed = ab[diagonal]
    field = np.concatenate([np.diag(h) for h in one_body])
    coupling = np.block(
        [[aa[diagonal] - aa[index, index], mixed], [mixed.T, bb[diagonal] - bb[index, index]]]
    )
    return field, coupling


def _spin_orbitals(occupation: Occupation, size: int) -> list[int]:
    return [*occupation[0], *(size + orbital for orbital in occupation[1])]


def _best_excitation(
    field: np.ndarray, coupling: np.ndarray, bits: np.ndarray, occupied: list[int], change: int
) -> tuple[float, tuple[int, ...], tuple[int, ...]]:
    """Return (energy change, left orbitals, entered orbitals) of the lowest excitation.

    It keeps the spin projection and multiplies the irrep by `change`.
    """
    size = field.size // 2
    spin = np.repeat([0, 1], size)
    empty = np.setdiff1d(np.arange(2 * size), occupied)
    holes = np.array(occupied, dtype=int)
    mean_field = field + coupling[:, holes].sum(axis=1)
    best: tuple[float, tuple[int, ...], tuple[int, ...]] = (np.inf, (), ())
    if not holes.size or not empty.size:
        return best
    energy = mean_field[None, empty] - mean_field[holes, None] - coupling[np.ix_(holes, empty)]
    allowed = (spin[holes, None] == spin[None, empty]) & (bits[holes, None] ^ bits[None, empty] == change)
    least, row, column = _least(energy, allowed)
    if np.isfinite(least):
        best = (least, (int(holes[row]),), (int(empty[column]),))

    particle_pairs = np.array(list(combinations(empty, 2)), dtype=int).reshape(-1, 2)
    hole_pairs = np.array(list(combinations(holes, 2)), dtype=int).reshape(-1, 2)
    if not particle_pairs.size or not hole_pairs.size:
        return best
    a, b = particle_pairs.T
    particle_energy = mean_field[a] + mean_field[b] + coupling[a, b]
    for start in range(0, len(hole_pairs), max(1, _BLOCK // len(particle_pairs))):
        stop = start + max(1, _BLOCK // len(particle_pairs))
        i, j = hole_pairs[start:stop].T
        mixed = coupling[i][:, a] + coupling[i][:, b] + coupling[j][:, a] + coupling[j][:, b]
        hole_energy = mean_field[i] + mean_field[j] - coupling[i, j]
        energy = particle_energy[None, :] - hole_energy[:, None] - mixed
        allowed = (spin[i] + spin[j])[:, None] == (spin[a] + spin[b])[None, :]
        allowed &= (bits[i] ^ bits[j])[:, None] ^ (bits[a] ^ bits[b])[None, :] == change
        least, row, column = _least(energy, allowed)
        if least < best[0] - 1e-12:
            best = (least, tuple(hole_pairs[start + row].tolist()), tuple(particle_pairs[column].tolist()))
    return best


def _least(energy: np.ndarray, allowed: np.ndarray) -> tuple[float, int, int]:
    """Return the lowest energy that is allowed (infinity for none), and its row and column."""
    energy = np.where(allowed, energy, np.inf)
    row, column = np.unravel_index(np.argmin(energy), energy.shape)
    return float(energy[row, column]), int(row), int(column)

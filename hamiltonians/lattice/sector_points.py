"""Configurations on which a state of a symmetry sector is known completely.

A state that lies in a sector (in one row of its irrep) has n_states coordinates. `sector_points` gives
as many configurations, and the matrix that makes the coordinates from the amplitudes there. For irreps of
dimension 1 these are the representatives of the orbits; else some orbits need several of their members.
"""

import numpy as np
import scipy.sparse

from hamiltonians.lattice.exact import SectorBasis


def sector_points(basis: SectorBasis, row: int = 0) -> tuple[np.ndarray, scipy.sparse.csr_matrix]:
    """Return configurations (n_states, n_modes) uint8 and T (n_states, n_states): coordinates = T @ psi.

    Args:
        basis: Basis of the sector.
        row: Row of the irrep in which psi lies (0 for dimension 1).
    """
    tables, pairs = basis.tables, basis.states.pairs
    up, down = tables.up_masks[tables.firsts[pairs[:, 0]]], tables.down_masks[pairs[:, 1]]
    counts = np.diff(basis.states.offsets)
    permutations, phases, _, _, representation = tables.group
    members = _candidates(representation)
    images, rows = [], []
    for g in members:
        moved_up, factor_up = _moved(up, permutations[g], phases[g])
        moved_down, factor_down = _moved(down, permutations[g], phases[g])
        images.append((moved_up, moved_down))
        # U_g |n> = f |m>:  <m|b_alpha> = f sum_t conj(D_rt(g)) conj((A^+ Gram)_{alpha t})
        overlaps = np.einsum("nat,t->na", basis.states.vectors[1], representation[g, row]).conj()
        rows.append((factor_up * factor_down)[:, None] * overlaps)
    overlaps = np.stack(rows, axis=1)  # (n, candidates, d)
    chosen, blocks = _independent(overlaps, counts)
    owner = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(basis.n_states) - basis.states.offsets[owner]
    element = chosen[owner, place]
    masks = [np.stack([pair[k] for pair in images])[element, owner] for k in range(2)]
    n_spins = len(basis.model.particles)
    bits = np.arange(basis.model.n_sites, dtype=np.uint64)
    occupations = [((mask[:, None] >> bits) & np.uint64(1)).astype(np.uint8) for mask in masks[:n_spins]]
    sizes = counts[owner]
    values = np.concatenate([np.zeros(0, complex), *(block.ravel() for block in blocks)])
    places = np.repeat(np.arange(basis.n_states), sizes)
    columns = (
        basis.states.offsets[owner][places]
        + np.arange(len(places))
        - np.repeat(np.cumsum(sizes) - sizes, sizes)
    )
    transform = scipy.sparse.csr_matrix((values, (places, columns)), shape=(basis.n_states,) * 2)
    return np.concatenate(occupations, axis=1), transform.real if basis.is_real else transform


def _candidates(representation: np.ndarray) -> np.ndarray:
    """Group elements with different D: few are enough, and the identity comes first."""
    if representation.shape[1] == 1:
        return np.array([0])
    flat = np.round(representation.reshape(len(representation), -1), 9)
    return np.sort(np.unique(flat, axis=0, return_index=True)[1])


def _independent(overlaps: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """For every representative the candidates (n, d) with independent overlaps, and inverses, row by row."""
    n, _, d = overlaps.shape
    chosen = np.zeros((n, d), dtype=np.int64)
    if d == 1:
        return chosen, [1.0 / overlaps[counts > 0, 0, 0]]
    # Pivoted Gram-Schmidt of the rows of each representative, all at once.
    rest = overlaps.copy()
    for step in range(d):
        norms = np.sum(np.abs(rest) ** 2, axis=2)
        chosen[:, step] = np.argmax(np.round(norms, 9), axis=1)
        pivot = rest[np.arange(n), chosen[:, step]]
        norm = np.maximum(np.sum(np.abs(pivot) ** 2, axis=1), 1e-300)
        rest = (
            rest - np.einsum("ncd,nd->nc", rest, pivot.conj())[:, :, None] * (pivot / norm[:, None])[:, None]
        )
    return chosen, [
        np.linalg.inv(overlaps[i][chosen[i, :count], :count]) for i, count in enumerate(counts) if count
    ]


def _moved(masks: np.ndarray, permutation: np.ndarray, phases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images (n,) and factors (n,) of configurations of one spin."""
    from hamiltonians.lattice.exact_kernels import move

    pairs = [move(mask, permutation, phases) for mask in masks]
    images = np.array([image for image, _ in pairs], dtype=np.uint64)
    return images, np.array([factor for _, factor in pairs], dtype=complex)

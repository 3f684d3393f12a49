"""Packed storage of real two-electron integrals: use it to go between M^4 tensors and pair matrices.

A pair (p, q) with p >= q has the index p (p + 1) / 2 + q, so that M orbitals make
npair = M (M + 1) / 2 pairs and (pq|rs) is an (npair, npair) matrix.
"""

import numpy as np

from hamiltonians.errors import InputError


def number_of_pairs(n_orbitals: int) -> int:
    """Return M (M + 1) / 2."""
    return n_orbitals * (n_orbitals + 1) // 2


def pair_indices(n_orbitals: int) -> np.ndarray:
    """Return the (M, M) table of pair indices; symmetric in its two arguments."""
    larger = np.maximum.outer(np.arange(n_orbitals), np.arange(n_orbitals))
    smaller = np.minimum.outer(np.arange(n_orbitals), np.arange(n_orbitals))
    return larger * (larger + 1) // 2 + smaller


def unpack_pairs(packed: np.ndarray, n_orbitals: int) -> np.ndarray:
    """Expand (npair, npair) to a new full tensor (M, M, M, M) of (pq|rs)."""
    index = pair_indices(n_orbitals)
    return packed[index[:, :, None, None], index[None, None, :, :]]


def pack_full(full: np.ndarray, *, exchange: bool, tolerance: float = 1e-8) -> np.ndarray:
    """Pack a full tensor (pq|rs), (M, M, M, M), to (npair, npair) after checking its permutation symmetries.

    Args:
        full: Real, chemists' notation.
        exchange: Whether (pq|rs) = (rs|pq) is required too (true unless the spins differ).
        tolerance: Largest violation that is taken for rounding, in Hartree, relative to the largest
            element where that exceeds one.

    Raises:
        InputError: The tensor is not symmetric enough, or its axes differ.
    """
    if len(set(full.shape)) != 1:
        raise InputError(f"two_body_full of shape {full.shape}: its four axes must be equal")
    scale = tolerance * max(1.0, float(np.abs(full).max(initial=0.0)))
    checks = [((1, 0, 2, 3), "(pq|rs) = (qp|rs)"), ((0, 1, 3, 2), "(pq|rs) = (pq|sr)")]
    if exchange:
        checks.append(((2, 3, 0, 1), "(pq|rs) = (rs|pq)"))
    for axes, law in checks:
        if np.abs(full - full.transpose(axes)).max(initial=0.0) > scale:
            raise InputError(
                f"two_body breaks {law}: give real integrals in chemists' notation (pq|rs), "
                "not physicists' <pq|rs> and not antisymmetrised"
            )
    rows, columns = np.tril_indices(full.shape[0])
    half = 0.5 * (full[rows, columns] + full[columns, rows])
    return 0.5 * (half[:, rows, columns] + half[:, columns, rows])


def rotate_pairs(packed: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Transform (pq|rs) to new orbitals, the left pair with one matrix (M, K), the right with another.

    Costs O(M^5) operations and never forms an M^4 array.
    """
    half = _rotate_rows(packed, left)
    return np.ascontiguousarray(_rotate_rows(half.T, right).T)


def _rotate_rows(packed: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    n_old, n_new = coefficients.shape
    old_index = pair_indices(n_old)
    rows, columns = np.tril_indices(n_new)
    result = np.empty((number_of_pairs(n_new), packed.shape[1]))
    block = max(1, 2**22 // max(1, n_old * n_old))  # about 32 MB of unpacked columns at a time
    for start in range(0, packed.shape[1], block):
        square = packed[:, start : start + block].T[:, old_index]
        rotated = coefficients.T @ square @ coefficients
        result[:, start : start + block] = rotated[:, rows, columns].T
    return result


def nonzero_pairs(block: np.ndarray, *, symmetric: bool) -> dict[str, np.ndarray]:
    """Return the unique elements of a pair matrix that are not zero, and a bit mask of where they are."""
    unique = block[np.tril_indices(block.shape[0])] if symmetric else block.ravel()
    # Positive and negative zero differ bit by bit; both are stored by value where needed.
    stored = (unique != 0.0) | np.signbit(unique)
    return {"mask": np.packbits(stored), "values": unique[stored]}


def pairs_of_nonzero(mask: np.ndarray, values: np.ndarray, pairs: int, *, symmetric: bool) -> np.ndarray:
    """Return the pair matrix of `nonzero_pairs`, (pairs, pairs)."""
    count = number_of_pairs(pairs) if symmetric else pairs * pairs
    if mask.dtype != np.uint8 or mask.shape != (-(-count // 8),):
        raise ValueError(f"the mask of two-body integrals does not fit {pairs} pairs of orbitals")
    stored = np.unpackbits(mask, count=count).astype(bool)
    unique = np.zeros(count)
    unique[stored] = values
    if not symmetric:
        return unique.reshape(pairs, pairs)
    block = np.empty((pairs, pairs))
    rows, columns = np.tril_indices(pairs)
    block[rows, columns] = unique
    block[columns, rows] = unique
    return block

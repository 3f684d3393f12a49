"""Irreps of the Abelian point groups as XOR-able codes: the product of two irreps is the XOR.

D2h and its subgroups are powers of Z2, so a one-dimensional irrep is a bit string and a direct
product is bitwise XOR, with 0 for the totally symmetric irrep. Use it to enumerate a symmetry
sector, to clean integrals, and to read and write the ORBSYM of a FCIDUMP file.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from hamiltonians.errors import InputError

# Cotton's order, in which the codes of every group close under XOR.
_IRREPS = {
    "D2h": ("Ag", "B1g", "B2g", "B3g", "Au", "B1u", "B2u", "B3u"),
    "C2v": ("A1", "A2", "B1", "B2"),
    "C2h": ("Ag", "Bg", "Au", "Bu"),
    "D2": ("A", "B1", "B2", "B3"),
    "Cs": ("A'", 'A"'),
    "Ci": ("Ag", "Au"),
    "C2": ("A", "B"),
    "C1": ("A",),
}

# Order of the same irreps in a FCIDUMP file (ORBSYM = position + 1), a convention of Molpro's.
_FCIDUMP_ORDER = {
    "D2h": ("Ag", "B3u", "B2u", "B1g", "B1u", "B2g", "B3g", "Au"),
    "C2v": ("A1", "B1", "B2", "A2"),
    "C2h": ("Ag", "Au", "Bu", "Bg"),
    "D2": ("A", "B3", "B2", "B1"),
}


def irrep_codes(labels: Sequence[str] | None, point_group: str | None, count: int) -> np.ndarray:
    """Return XOR-able codes of orbital irreps, (count,) int; 0 is totally symmetric.

    Args:
        labels: One label an orbital, or None where unknown (zeros are returned). Labels of a file that names
            no point group are its ORBSYM numbers ("1" to "8").
        point_group: An Abelian group ("D2h", "C2v", ...), or None with ORBSYM numbers.
        count: Number of orbitals.

    Raises:
        InputError: A label does not belong to the group.
    """
    if labels is None:
        return np.zeros(count, dtype=np.int64)
    return np.array([_code(label, point_group) for label in labels], dtype=np.int64)


def irrep_name(code: int, point_group: str | None) -> str:
    """Return the label of an irrep code: the inverse of `irrep_codes`."""
    if point_group is None:
        return str(code + 1)
    return _IRREPS[point_group][code]


def determinant_irrep(alpha: Iterable[int], beta: Iterable[int], codes: np.ndarray) -> int:
    """Return the irrep code of a determinant from its occupied orbitals and the codes of all orbitals."""
    return int(np.bitwise_xor.reduce(np.asarray(codes)[[*alpha, *beta]], initial=0))


def fcidump_irreps(labels: Sequence[str] | None, point_group: str | None, count: int) -> np.ndarray:
    """Return the ORBSYM numbers (from 1) of orbital irreps; all 1 where labels are unknown."""
    codes = irrep_codes(labels, point_group, count)
    if point_group not in _FCIDUMP_ORDER:
        return codes + 1
    order = _FCIDUMP_ORDER[point_group]
    return np.array([order.index(_IRREPS[point_group][code]) + 1 for code in codes], dtype=np.int64)


def clean_forbidden(one_body: np.ndarray, two_body: np.ndarray, codes: np.ndarray, tolerance: float) -> bool:
    """Set the integrals that symmetry forbids to exactly zero, in place.

    Where one of them is larger than `tolerance` (Hartree) nothing is done, and False returned.
    """
    if not codes.any():
        return True
    products = codes[:, None] ^ codes[None, :]
    pairs = products[np.tril_indices(codes.size)]
    blocks = [np.ix_(pairs == code, pairs != code) for code in np.unique(pairs)]
    matrices = two_body.reshape(-1, pairs.size, pairs.size)
    largest = [np.abs(one_body[..., products != 0]).max(initial=0.0)]
    largest += [np.abs(matrix[block]).max(initial=0.0) for matrix in matrices for block in blocks]
    if max(largest) > tolerance:
        return False
    one_body[..., products != 0] = 0.0
    for matrix in matrices:
        for block in blocks:
            matrix[block] = 0.0
    return True


def _code(label: str, point_group: str | None) -> int:
    if point_group is None:
        if label.isdecimal() and 1 <= int(label) <= 8:
            return int(label) - 1
        raise InputError(f"irrep {label!r} needs a point group: give point_group, e.g. 'D2h'")
    names = _IRREPS.get(point_group)
    if names is None:
        raise InputError(
            f"point group {point_group!r} is not Abelian with real irreps: give one of {', '.join(_IRREPS)}"
        )
    if label not in names:
        raise InputError(f"irrep {label!r} is not in {point_group}: give one of {', '.join(names)}")
    return names.index(label)

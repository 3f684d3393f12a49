"""Checks on the arrays of a Hamiltonian: each returns the clean value or raises `InputError`."""

import numpy as np

from hamiltonians.errors import InputError
from hamiltonians.packing import number_of_pairs


def real_number(value: float) -> float:
    """Return a finite real scalar, in Hartree."""
    if isinstance(value, complex) and value.imag != 0.0:
        raise InputError("constant is complex: only real Hamiltonians are supported")
    number = float(np.real(value))
    if not np.isfinite(number):
        raise InputError(f"constant is {number}: give a finite energy in Hartree")
    return number


def whole_number(value: object, name: str) -> int:
    """Return an integer that was given as one (2 and 2.0, but not "2", True or 2.5)."""
    if isinstance(value, bool | str | bytes):
        raise InputError(f"{name} {value!r}: give a whole number")
    try:
        number = int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{name} {value!r}: give a whole number") from None
    if number != value:
        raise InputError(f"{name} {value!r}: give a whole number")
    return number


def real_array(values: np.ndarray, name: str) -> np.ndarray:
    """Return a finite float64 array of one's own; a read-only input is shared, not copied."""
    array = np.asarray(values)
    if np.iscomplexobj(array):
        if np.abs(array.imag).max(initial=0.0) > 1e-12:
            raise InputError(f"{name} is complex: only real orbitals are supported, rotate them first")
        array = array.real
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name} holds {array.dtype}: give real numbers")
    owned = array.dtype == np.float64 and array.flags.c_contiguous and not array.flags.writeable
    array = array if owned else np.array(array, dtype=np.float64, order="C")
    if not np.isfinite(array).all():
        raise InputError(f"{name} holds NaN or infinity: give finite integrals")
    return array


def check_shapes(one_body: np.ndarray, two_body: np.ndarray) -> int:
    """Return M after checking that one- and two-body arrays belong together."""
    size = one_body.shape[-1] if one_body.ndim else 0
    if one_body.shape not in ((size, size), (2, size, size)) or size == 0:
        raise InputError(f"one_body of shape {one_body.shape}: give (M, M) or (2, M, M) with M of at least 1")
    pairs = number_of_pairs(size)
    expected = (pairs, pairs) if one_body.ndim == 2 else (3, pairs, pairs)
    if two_body.shape != expected:
        raise InputError(
            f"two_body of shape {two_body.shape} beside one_body {one_body.shape}: give the packed "
            f"{expected}, or use MolecularIntegrals.from_full for an unpacked tensor"
        )
    return size


#: Asymmetry that is taken for rounding: transformations to the orbitals of nearly dependent (diffuse) bases
#: leave 1e-8; integrals of complex orbitals break their laws by orders of magnitude more.
_ROUNDING = 1e-6


def symmetrised(array: np.ndarray, name: str, law: str) -> np.ndarray:
    """Return `array` if exactly symmetric in its last two axes, else the symmetric average.

    Raises:
        InputError: It is not symmetric within rounding errors.
    """
    mirrored = np.swapaxes(array, -1, -2)
    if np.array_equal(array, mirrored):
        return array
    scale = max(1.0, float(np.abs(array).max(initial=0.0)))
    if np.abs(array - mirrored).max() > _ROUNDING * scale:
        raise InputError(f"{name} breaks {law}: give the integrals of real orbitals")
    return 0.5 * (array + mirrored)


def electron_number(value: int, size: int, spin: str) -> int:
    """Return a checked number of electrons of one spin."""
    number = whole_number(value, f"number of {spin} electrons")
    if not 0 <= number <= size:
        raise InputError(f"{value} {spin} electrons in {size} orbitals: give 0 to {size}")
    return number


def check_occupation(
    occupation: tuple | None, size: int, numbers: tuple[int, int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return a checked reference occupation; the lowest orbitals where None."""
    if occupation is None:
        return tuple(range(numbers[0])), tuple(range(numbers[1]))
    if len(occupation) != 2:
        raise InputError("reference_occupation: give a pair (alpha orbitals, beta orbitals)")
    checked = []
    for orbitals, number in zip(occupation, numbers, strict=True):
        ordered = tuple(sorted({int(orbital) for orbital in orbitals}))
        inside = not ordered or (ordered[0] >= 0 and ordered[-1] < size)
        if len(ordered) != number or len(ordered) != len(tuple(orbitals)) or not inside:
            raise InputError(
                f"reference_occupation {tuple(orbitals)}: give {number} different orbitals "
                f"from 0 to {size - 1}"
            )
        checked.append(ordered)
    return checked[0], checked[1]


def hypercubic(block: np.ndarray) -> np.ndarray:
    """Return the array after checking that its axes are equal."""
    if len(set(block.shape)) != 1:
        raise InputError(f"two_body_full of shape {block.shape}: its four axes must be equal")
    return block

"""The one exception that means "the input is wrong", and checks that raise it or return a clean value."""

import difflib
from collections.abc import Callable, Iterable

import numpy as np

# Asymmetry that is taken for rounding: transformations to the orbitals of nearly dependent (diffuse) bases
# leave 1e-8; integrals of complex orbitals break their laws by orders of magnitude more.
_ROUNDING = 1e-6


class InputError(ValueError):
    """Raised for input that cannot be solved as given.

    The message is one line: what is wrong, and what to give instead.
    """


def nearest_names(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return up to `count` of the `known` names that resemble `name`, ignoring case, best first."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.casefold(), by_folded, n=count, cutoff=0.4)
    return [by_folded[match] for match in matches]


def one_line(error: BaseException) -> str:
    """Return the text of an exception on one line, for use inside an `InputError` message."""
    return " ".join(str(error).split()) or type(error).__name__


def reason_of(error: BaseException) -> str:
    """Return why an operation failed, on one line: of operating-system errors without number and path."""
    return (isinstance(error, OSError) and error.strerror) or one_line(error)


def extra[Value](
    what: str,
    make: Callable[[], Value],
    warn: Callable[[str], object],
    *,
    spared: type[Exception] | tuple[type[Exception], ...] = Exception,
) -> Value | None:
    """Return what `make` returns, or None where it fails: references, observables, pictures, caches.

    An energy can do without any of these, and is not to be lost with them.

    Args:
        what: Name of what is made, for the warning.
        make: Makes it.
        warn: Told in one line where it fails.
        spared: Errors that cost no more than that. By default all: libraries raise whatever they like.
    """
    try:
        return make()
    except spared as error:
        kind = "" if isinstance(error, InputError | OSError) else f"{type(error).__name__}: "
        warn(f"{what} failed ({kind}{one_line(error)[:160]})")
        return None


def whole_number(value: object, name: str) -> int:
    """Return an integer that was given as one (2 and 2.0, but not "2", True or 2.5)."""
    try:
        number = None if isinstance(value, bool | str | bytes) else int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or number != value:
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

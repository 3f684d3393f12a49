"""Cardinal number and family of correlation-consistent basis sets, read off their names.

Energies are extrapolated along one family, cc-pVDZ, cc-pVTZ, cc-pVQZ ..., by the cardinal number X = 2, 3, 4
... (Dunning, J. Chem. Phys. 90, 1007 (1989)): sets of two families belong to two different curves.
"""

import re
from collections.abc import Iterable, Mapping

from hamiltonians.errors import InputError

_LETTERS = {"d": 2, "t": 3, "q": 4, **{str(x): x for x in range(5, 10)}}
# Names are read as PySCF reads them: without hyphens, underscores and spaces, in any case.
_NAME = re.compile(
    r"(?P<before>(?:ccecp)?(?:(?:d|t|heavy)?aug|jul|jun|may|apr)?)"
    r"ccp(?P<core>c|wc)?v"
    r"(?:\((?P<tight>[dtq5-9])\+d\)|(?P<plain>[dtq5-9]))z"
    r"(?P<after>dkh?3?|pp|f12|ccecp)?"
)
_BEFORE = re.compile(r"(ccecp)?(d|t|heavy)?(aug|jul|jun|may|apr)?")

Basis = str | Mapping[str, str]


def cardinal_number(basis: Basis) -> int:
    """Return X of a correlation-consistent set: 3 for "aug-cc-pVTZ".

    Args:
        basis: Its name, or {element: name} where all names have the same X.

    Raises:
        InputError: No correlation-consistent set, or elements with different X.
    """
    return _read(basis)[1]


def basis_family(basis: Basis) -> str:
    """Return the name with its cardinal number left open: "aug-cc-pVXZ" for "aug-cc-pvtz".

    Args:
        basis: Its name, or {element: name}; elements of different families are all named.

    Raises:
        InputError: As `cardinal_number`.
    """
    return _read(basis)[0]


def common_family(bases: Iterable[Basis]) -> str:
    """Return the family that all these sets belong to.

    Raises:
        InputError: There is none, or a set belongs to another one.
    """
    found: dict[str, Basis] = {}
    for basis in bases:
        found.setdefault(basis_family(basis), basis)
    if not found:
        raise InputError("no basis sets: give at least two of one family, such as cc-pvdz and cc-pvtz")
    if len(found) > 1:
        raise InputError(
            f"basis sets of different families ({', '.join(found)}): extrapolate each on its own"
        )
    return next(iter(found))


def cardinal_letters(cardinals: Iterable[int]) -> str:
    """Return the letters that names of basis sets have for these X: "DTQ5"."""
    return "".join({2: "D", 3: "T", 4: "Q"}.get(x, str(x)) for x in cardinals)


def _read(basis: Basis) -> tuple[str, int]:
    """Family and cardinal number."""
    if isinstance(basis, str):
        return _read_name(basis)
    found = {element: _read_name(name) for element, name in sorted(basis.items())}
    numbers = {number for _, number in found.values()}
    if len(numbers) != 1:
        listed = ", ".join(f"{element}: {name}" for element, name in sorted(basis.items()))
        raise InputError(
            f"basis ({listed or 'empty'}) has no common cardinal number: give all elements the same"
        )
    families = {family for family, _ in found.values()}
    if len(families) == 1:
        return families.pop(), numbers.pop()
    return ", ".join(f"{element}: {family}" for element, (family, _) in found.items()), numbers.pop()


def _read_name(name: str) -> tuple[str, int]:
    folded = re.sub(r"[-_ ]", "", str(name)).casefold()
    match = _NAME.fullmatch(folded)
    if match is None:
        raise InputError(
            f"basis {name!r} has no cardinal number: extrapolation needs a correlation-consistent family, "
            "such as cc-pvdz, cc-pvtz, cc-pvqz"
        )
    tight = match["tight"] is not None
    before = _BEFORE.fullmatch(match["before"])
    parts = [part for part in (before.groups() if before else ()) if part]
    family = "-".join([*parts, f"cc-p{match['core'] or ''}V{'(X+d)' if tight else 'X'}Z"])
    if match["after"]:
        family += f"-{match['after'].upper()}"
    return family, _LETTERS[match["tight"] or match["plain"]]

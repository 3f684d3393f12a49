"""Basis sets that are made for an effective core potential, and the name of the potential of each."""

import re
from collections.abc import Mapping
from typing import Any

from hamiltonians.errors import InputError
from hamiltonians.molecule.geometry import ATOMIC_NUMBERS, element_symbol

# Families whose potential has another name than the basis, both without signs.
_FAMILIES = (
    (r"(ccecp(?:he|reg|28|36)?).*", r"\1"),
    (r"(bfd).*", r"\1"),
    (r"(?:aug)?ccpw?c?v([dtq5])zpp", r"cc-pv\1z-pp"),
    (r"def2mtzvpp?", "def2-tzvp"),
)
# Largest exponent of a basis over the square of the nuclear charge: 1.6 and more with all electrons (least of
# all STO-3G of helium); of bases for potentials mostly below 1, of heavy elements 0.01.
_STEEPEST = 1.5


def potential_of_basis(name: str) -> str:
    """Return the name of the potential that belongs to a basis; there need be none under it."""
    folded = re.sub(r"[-_ ]", "", name.casefold())
    for pattern, potential in _FAMILIES:
        match = re.fullmatch(pattern, folded)
        if match is not None:
            return match.expand(potential)
    return name


def check_potentials(
    basis: Mapping[str, list], potentials: Mapping[str, list], *, refused: bool
) -> tuple[str, ...]:
    """Require a potential where a basis has no functions for the inner electrons.

    Args:
        basis: PySCF's parsed basis of every kind of atom.
        potentials: Parsed potentials, likewise.
        refused: Whether the user wants none; there is a warning then.

    Returns:
        Warnings.

    Raises:
        InputError: The potential is missing.
    """
    bare = [
        label
        for label, shells in basis.items()
        if label not in potentials and not _has_inner_functions(label, shells)
    ]
    if not bare:
        return ()
    atoms = ", ".join(bare)
    if not refused:
        raise InputError(
            f"the basis of {atoms} is made for an effective core potential, and none of its name is known: "
            "give ecp, or another basis"
        )
    return (f"the basis of {atoms} is made for an effective core potential, and is used without one",)


def _has_inner_functions(label: str, shells: list[Any]) -> bool:
    """Whether the steepest primitive reaches the 1s shell; True for what is no element, as ghosts."""
    symbol = element_symbol(label)
    exponents = [row[0] for shell in shells for row in shell[1:] if isinstance(row, list | tuple)]
    return symbol is None or not exponents or max(exponents) > _STEEPEST * ATOMIC_NUMBERS[symbol] ** 2

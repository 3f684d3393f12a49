"""Basis sets and effective core potentials by name, for PySCF; a name is never taken for a file.

PySCF reads a name that exists as a file in the current folder, and evaluates its text. Names are therefore
checked here, and reach PySCF's tables only. Data of one's own comes through `basis_file`.
"""

import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hamiltonians.errors import InputError, nearest_names
from hamiltonians.molecule.basis_file import BasisFile
from hamiltonians.molecule.geometry import ATOMIC_NUMBERS, Geometry, element_symbol, ghost_element
from hamiltonians.molecule.pseudopotentials import potential_of_basis

# "6-31G(d,p)", "cc-pV(T+d)Z", "ano@3s2p1d": letters, a few signs, and a contraction scheme.
_NAME = re.compile(r"[A-Za-z0-9+*(),. _-]{1,60}(@(\d{1,2}[a-ik-oA-IK-OpsPS]){1,9})?", re.ASCII)
# Names that PySCF opens end in this: no system has paths so long, and its tables ignore spaces.
_NO_FILE = " " * 5000


def kinds_of_atoms(geometry: Geometry, basis: str | Mapping[str, str]) -> list[str]:
    """Return the kind of every atom, by which it has its basis: its element, ghost or own label.

    Raises:
        InputError: The basis names something that is neither an element nor an atom of the molecule.
    """
    symbols = [symbol for symbol, _ in geometry.atoms]
    if not isinstance(basis, Mapping):
        return symbols
    named = {key.casefold() for key in basis}
    labels = [label.casefold() for label in geometry.labels]
    for key in basis:
        is_plain = key.casefold() == "default" or key.capitalize() in ATOMIC_NUMBERS
        if not is_plain and ghost_element(key) is None and key.casefold() not in labels:
            raise InputError(
                f"basis of {_shown(key)}: no atom has this label; give elements, labels or default"
            )
    return [
        label if label.casefold() in named else symbol
        for label, symbol in zip(geometry.labels or symbols, symbols, strict=True)
    ]


def resolve_basis(
    labels: Iterable[str], basis: str | Mapping[str, str], file: BasisFile | None = None
) -> dict[str, list]:
    """Return PySCF's parsed basis of every kind of atom.

    Args:
        labels: Elements, labelled elements ("H1") or ghosts ("ghost-H").
        basis: One name for all; or names by label or element, and under "default" for the rest.
        file: Elements that it has are taken from it, unless they (or the label) are named themselves.

    Raises:
        InputError: The basis is unknown, or does not cover an element.
    """
    parsed: dict[str, Any] = {}
    kinds = sorted(set(labels))
    if file is not None:
        read = [label for label in kinds if _from_file(label, basis, file)]
        if not read:
            raise InputError(f"{file.path} has the basis of {', '.join(file.basis)}: leave out basis_file")
        if len(read) == len(kinds) and isinstance(basis, str):
            raise InputError(f"{file.path} has the basis of all elements here: leave out basis or basis_file")
    for label in kinds:
        symbol = _element(label)
        if file is not None and _from_file(label, basis, file):
            parsed[label] = file.basis[symbol]
            continue
        name = _basis_name(label, basis)
        parsed[label] = _loaded("load", name, symbol)
        if parsed[label] is None:
            raise InputError(_why_missing(name, symbol))
    return parsed


def resolve_ecp(
    labels: Iterable[str],
    basis: str | Mapping[str, str],
    ecp: str | bool | Mapping[str, str] | None,
    file: BasisFile | None = None,
) -> tuple[dict[str, list], tuple[tuple[str, str], ...]]:
    """Return PySCF's parsed effective core potentials and their names by kind of atom; ghosts have none.

    None takes the potential that belongs to the basis, where it has one (of a basis from a file that of the
    file); False (or "none") takes none; a name (or {element: name}) takes that one.

    Raises:
        InputError: The named potential is unknown, or covers none of the elements.
    """
    if ecp is False or (isinstance(ecp, str) and ecp.casefold() == "none"):
        return {}, ()
    parsed, names = {}, []
    real = sorted({label for label in labels if ghost_element(label) is None})
    for label in real:
        symbol = _element(label)
        if isinstance(ecp, Mapping):
            name = ecp.get(label, ecp.get(symbol))
        elif isinstance(ecp, str):
            name = ecp
        elif file is not None and _from_file(label, basis, file):
            if symbol in file.potentials:
                parsed[label] = file.potentials[symbol]
                names.append((label, Path(file.path).name))
            continue
        else:
            name = potential_of_basis(_basis_name(label, basis))
        data = _loaded("load_ecp", name, symbol) if name else None
        if name and data:
            parsed[label] = data
            names.append((label, name))
        elif isinstance(ecp, Mapping) and name:
            raise InputError(f"effective core potential {_shown(name)} is not available for {symbol}")
    if isinstance(ecp, str) and not parsed:
        raise InputError(
            f"effective core potential {_shown(ecp)} is unknown for {', '.join(real)}: "
            "give its name, or leave it out to take the one that belongs to the basis"
        )
    return parsed, tuple(names)


def _element(label: str) -> str:
    return ghost_element(label) or element_symbol(label) or label


def _from_file(label: str, basis: str | Mapping[str, str], file: BasisFile) -> bool:
    """Whether a kind of atom has its basis from the file: by a name of its own it has not."""
    named = {key.casefold() for key in basis} if isinstance(basis, Mapping) else set()
    return _element(label) in file.basis and not named & {label.casefold(), _element(label).casefold()}


def _basis_name(label: str, basis: str | Mapping[str, str]) -> str:
    """Return the name of the basis of one kind of atom."""
    name: Any = basis
    if isinstance(basis, Mapping):
        folded = {key.casefold(): value for key, value in basis.items()}
        places = (label, _element(label), "default")
        name = next((folded[key.casefold()] for key in places if key.casefold() in folded), None)
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"no basis for {label}: give basis a name such as 'sto-3g' or 'cc-pvdz'")
    return name.strip()


def _loaded(loader: str, name: str, symbol: str) -> Any:
    """Return what PySCF (by `load` or `load_ecp`) or Basis Set Exchange has under a name, or None."""
    from pyscf import gto
    from pyscf.lib.exceptions import BasisNotFoundError

    if not _NAME.fullmatch(name) or "gth" in name.casefold():
        return None  # GTH sets are made for pseudopotentials of periodic codes
    plain, at, scheme = name.partition("@")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an advertisement of another package
        try:
            words = f"{plain}{_NO_FILE}{at}{scheme}" if loader == "load" else f"{plain}{_NO_FILE}"
            found = getattr(gto.basis, loader)(words, symbol)
        # Tables refer to files of several kinds, of which some hold no potential; schemes are asserted.
        except (BasisNotFoundError, LookupError, ValueError, RuntimeError, TypeError, OSError):
            found = None
        except (AssertionError, AttributeError):
            return None
        return found or (None if at else _from_exchange(loader, plain, symbol))


def _from_exchange(loader: str, name: str, symbol: str) -> Any:
    """Return a basis or potential of Basis Set Exchange, where that package is installed."""
    from pyscf.gto.basis import bse

    if bse.basis_set_exchange is None:
        return None
    try:
        found = bse.basis_set_exchange.get_basis(name, elements=symbol)
    except (LookupError, ValueError, RuntimeError, TypeError, OSError):
        return None
    converted = bse._orbital_basis(found)[0] if loader == "load" else bse._ecp_basis(found)
    return converted.get(symbol)


def _why_missing(name: str, symbol: str) -> str:
    from pyscf import gto

    if "gth" in name.casefold():
        return f"basis {_shown(name)} is made for GTH pseudopotentials, which are not here: give another one"
    # A basis exists if any common element has it; the alias table alone does not say so.
    covered = [other for other in ("H", "C", "N", "O", "Na", "Fe", "I") if _loaded("load", name, other)]
    if covered:
        return (
            f"basis {_shown(name)} is not available for {symbol} (it is for {', '.join(covered)}): "
            "give another basis, such as def2-svp or ano"
        )
    close = nearest_names(name[:60].replace("-", "").replace("_", ""), gto.basis.ALIAS)
    hint = f"nearest: {', '.join(close)}" if close else "give a name such as sto-3g or cc-pvdz"
    return f"basis {_shown(name)} is unknown: {hint}"


def _shown(name: str) -> str:
    return repr(name if len(name) <= 60 else f"{name[:60]}...")

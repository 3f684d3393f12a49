"""Basis sets and effective core potentials from PySCF's library, with clear errors."""

import warnings
from collections.abc import Iterable, Mapping

from hamiltonians.errors import InputError, nearest_names

# Families whose potential is named differently from their basis: (prefix of the basis, potential).
_ECP_OF_FAMILY = (("ccecp", "ccecp"), ("bfd", "bfd"))


def resolve_basis(symbols: Iterable[str], basis: str | Mapping[str, str]) -> dict[str, list]:
    """Return PySCF's parsed basis of every element.

    Args:
        symbols: Elements of the molecule.
        basis: One name for all, or a name for each element ({"N": "cc-pvtz", "H": "cc-pvdz"}).

    Raises:
        InputError: The basis is unknown, or does not cover an element.
    """
    parsed = {}
    for symbol in sorted(set(symbols)):
        name = basis_name(symbol, basis)
        data = _load(name, symbol)
        if data is None:
            raise InputError(_why_missing(name, symbol))
        parsed[symbol] = data
    return parsed


def resolve_ecp(
    symbols: Iterable[str], basis: str | Mapping[str, str], ecp: str | bool | Mapping[str, str] | None
) -> tuple[dict[str, list], tuple[tuple[str, str], ...]]:
    """Return PySCF's parsed effective core potentials and their names by element.

    Args:
        symbols: Elements of the molecule.
        basis: As for `resolve_basis`.
        ecp: None takes the potential that belongs to the basis, where it has one; False (or
            "none") takes none; a name (or {element: name}) takes that one.

    Raises:
        InputError: The named potential is unknown, or covers none of the elements.
    """
    if ecp is False or (isinstance(ecp, str) and ecp.casefold() == "none"):
        return {}, ()
    if ecp is True:
        ecp = None
    parsed, names = {}, []
    for symbol in sorted(set(symbols)):
        if isinstance(ecp, Mapping):
            name = ecp.get(symbol)
        elif isinstance(ecp, str):
            name = ecp
        else:
            name = _ecp_of_basis(basis_name(symbol, basis))
        data = _load_ecp(name, symbol) if name else None
        if name and data:
            parsed[symbol] = data
            names.append((symbol, name))
        elif isinstance(ecp, Mapping) and name:
            raise InputError(f"effective core potential {name!r} is not available for {symbol}")
    if isinstance(ecp, str) and not parsed:
        raise InputError(
            f"effective core potential {ecp!r} is unknown for {', '.join(sorted(set(symbols)))}: "
            "give its name, or leave it out to take the one that belongs to the basis"
        )
    return parsed, tuple(names)


def basis_name(symbol: str, basis: str | Mapping[str, str]) -> str:
    """Return the name of the basis of one element.

    Raises:
        InputError: A mapping leaves the element out, or the name is empty or no string.
    """
    name = basis.get(symbol) if isinstance(basis, Mapping) else basis
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"no basis for {symbol}: give a name such as 'sto-3g' or 'cc-pvdz'")
    return name.strip()


def _ecp_of_basis(name: str) -> str:
    folded = name.casefold().replace("-", "")
    for prefix, potential in _ECP_OF_FAMILY:
        if folded.startswith(prefix):
            return potential
    return name


def _load(name: str, symbol: str) -> list | None:
    from pyscf import gto
    from pyscf.lib.exceptions import BasisNotFoundError

    # A name that happens to be a file, or basis data, would be parsed: only names are meant here.
    if "\n" in name or "/" in name:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an advertisement of another package
        try:
            return gto.basis.load(name, symbol) or None
        except (BasisNotFoundError, KeyError, ValueError, IndexError, RuntimeError):
            return None


def _load_ecp(name: str, symbol: str) -> list | None:
    from pyscf import gto
    from pyscf.lib.exceptions import BasisNotFoundError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return gto.basis.load_ecp(name, symbol) or None
        # TypeError: a basis kept in several files, such as cc-pCVDZ, of which none holds a potential.
        except (BasisNotFoundError, KeyError, ValueError, IndexError, RuntimeError, TypeError):
            return None


def _why_missing(name: str, symbol: str) -> str:
    from pyscf import gto

    # A basis exists if any common element has it; the alias table alone does not say so.
    covered = [other for other in ("H", "C", "N", "O", "Na", "Fe", "I") if _load(name, other)]
    if covered:
        return (
            f"basis {name!r} is not available for {symbol} (it is for {', '.join(covered)}): "
            "give another basis, such as def2-svp or ano"
        )
    close = nearest_names(name.replace("-", "").replace("_", ""), gto.basis.ALIAS)
    hint = f"nearest: {', '.join(close)}" if close else "give a name such as sto-3g or cc-pvdz"
    return f"basis {name!r} is unknown: {hint}"

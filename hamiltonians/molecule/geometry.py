"""Geometries from a bundled name, an .xyz file or inline text: use `read_geometry` for all three."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from hamiltonians.errors import InputError, nearest_names
from hamiltonians.molecule.xyz import (
    MOST_ATOMS,
    comment_warnings,
    coordinate,
    read_text,
    shortened,
    stated_electrons,
    xyz_rows,
)

_PERIODIC_TABLE = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br "
    "Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho "
    "Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es "
    "Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og"
)
_SYMBOLS = tuple(_PERIODIC_TABLE.split())

ATOMIC_NUMBERS = {symbol: number for number, symbol in enumerate(_SYMBOLS, start=1)}
"""Nuclear charge of every element by its symbol."""

BOHR_IN_ANGSTROM = 0.529177210903
"""The bohr (CODATA 2018)."""

_CLOSEST = 0.2  # Angstrom; no two nuclei of a molecule come nearer
_FARTHEST = 1e4  # Angstrom; beyond this a coordinate is a typing error
# Bundled .xyz files, in Angstrom; each file's comment line states charge, 2S and origin.
_LIBRARY = Path(__file__).parents[1] / "library"
_CHAIN = re.compile(r"([A-Za-z]{1,2})(\d{1,6})-(chain|ring)-(\d{0,9}\.?\d{1,30})", re.IGNORECASE | re.ASCII)
# Orbitals without a nucleus: "ghost-H", "Gh(H)", "X-H", "Bq-H", "@H" and "H:" of several programs.
_GHOST = re.compile(
    r"(?:(?:ghost|gh|bq)[-_:(]?|x[-_:]|@)([A-Za-z]{1,2}\w*)\)?|([A-Za-z]{1,2}\w*):", re.IGNORECASE
)

Atoms = tuple[tuple[str, tuple[float, float, float]], ...]


@dataclass(frozen=True)
class Geometry:
    """Nuclei of a molecule, with the charge and spin that its source states."""

    name: str
    """Bundled name, stem of the file, or formula."""
    atoms: Atoms
    """(symbol, (x, y, z)) of every atom, in Angstrom; "ghost-H" for the orbitals of H without its nucleus."""
    charge: int | None = None
    """Total charge where the source states it."""
    two_S: int | None = None
    """Number of unpaired electrons, 2S, where the source states it."""
    labels: tuple[str, ...] = ()
    """Label of every atom ("H1", "ghost-H2"), by which it may have its own basis; empty where none has."""
    warnings: tuple[str, ...] = ()
    """Warnings about the source, one line each."""

    @property
    def formula(self) -> str:
        """Formula in Hill's order, without ghosts."""
        return hill_formula([symbol for symbol, _ in self.atoms if symbol in ATOMIC_NUMBERS])

    @property
    def nuclear_charge(self) -> int:
        """Sum of the atomic numbers."""
        return sum(ATOMIC_NUMBERS.get(symbol, 0) for symbol, _ in self.atoms)


def read_geometry(molecule: str | Path | Geometry, *, unit: str = "angstrom") -> Geometry:
    """Read a molecule from whatever the user gave.

    Args:
        molecule: A bundled name (any case), a path to an .xyz file, inline text such as
            "N 0 0 0; N 0 0 1.1" (semicolons or newlines between atoms), or a chain or ring of one
            element with its spacing: "H10-chain-1.8", "H6-ring-1.0".
        unit: Unit of inline text, spacings and .xyz files, "angstrom" or "bohr". Bundled files are in
            Angstrom.

    Raises:
        InputError: No such molecule or file, or its content makes no sense.
    """
    if unit.casefold() not in ("angstrom", "ang", "a", "bohr", "au"):
        raise InputError(f"unit {unit!r} is unknown: give 'angstrom' or 'bohr'")
    if isinstance(molecule, Geometry):
        return molecule
    text = str(molecule).strip()
    if not text:
        raise InputError("no molecule given: give a bundled name, an .xyz file or 'N 0 0 0; N 0 0 1.1'")
    bundled = bundled_path(text)
    scale = BOHR_IN_ANGSTROM if unit.casefold() in ("bohr", "au") else 1.0
    if bundled is not None:
        if scale != 1.0:
            raise InputError(f"bundled geometries, such as {bundled.stem}, are in angstrom: leave out unit")
        return _parse_xyz(bundled, f"bundled {bundled.stem}", 1.0)
    chain = _chain_atoms(text)
    if chain:
        scaled = [(symbol, [scale * x for x in position]) for symbol, position in chain]
        return _geometry(text, scaled)
    inline = bool(re.search(r"[;\n]", text)) or _looks_like_atom(text)
    if not inline:
        path = Path(text)
        if path.suffix.casefold() == ".xyz" or _is_file(path):
            return _parse_xyz(path, str(path), scale)
        close = nearest_names(text, bundled_molecules())
        hint = f"nearest bundled names: {', '.join(close)}; " if close else ""
        raise InputError(
            f"molecule {shortened(text)} is unknown: {hint}give a bundled name, an .xyz file or "
            "'N 0 0 0; N 0 0 1.1'"
        )
    lines = [line for line in re.split(r"[;\n]", text) if line.strip()]
    atoms = []
    for number, line in enumerate(lines, start=1):
        fields = line.replace(",", " ").split()
        if len(fields) < 4:
            raise InputError(f"atom {number}: {shortened(line.strip())} is not an atom: give 'symbol x y z'")
        atoms.append(_atom(fields, f"atom {number}", scale))
    geometry = _geometry("", atoms)
    return replace(geometry, name=geometry.formula)


def bundled_molecules() -> tuple[str, ...]:
    """Return the names of all bundled molecules, in alphabetical order."""
    return tuple(sorted(_bundled()))


def bundled_path(name: str) -> Path | None:
    """Return the .xyz file of a bundled molecule (any case), or None where there is none."""
    by_folded = {known.casefold(): path for known, path in _bundled().items()}
    return by_folded.get(name.casefold())


@cache
def _bundled() -> dict[str, Path]:
    return {path.stem: path for path in _LIBRARY.glob("*.xyz")}


def element_symbol(text: str) -> str | None:
    """Return the element that `text` names, or None: "n", "N1" and "7" all name nitrogen.

    A symbol may carry a label ("H1", "O_a"); a bare number is a nuclear charge; D and T are H.
    """
    if re.fullmatch(r"[0-9]{1,3}", text):
        number = int(text)
        return _SYMBOLS[number - 1] if 1 <= number <= len(_SYMBOLS) else None
    letters = re.match(r"[A-Za-z]*", text)
    symbol = "" if letters is None else letters[0].capitalize()
    if symbol in ("D", "T"):
        return "H"
    return symbol if symbol in ATOMIC_NUMBERS else None


def ghost_element(text: str) -> str | None:
    """Return the element of a ghost ("ghost-H", "Gh(H1)", "X-H", "Bq-H", "@H" or "H:"), or None."""
    match = _GHOST.fullmatch(text)
    return None if match is None else element_symbol(match[1] or match[2])


def hill_formula(symbols: list[str] | tuple[str, ...]) -> str:
    """Return the formula in Hill's order: carbon, hydrogen, then the alphabet."""
    first = ("C", "H") if "C" in symbols else ()
    counts = Counter(symbols)
    order = sorted(counts, key=lambda symbol: (symbol not in first, symbol))
    return "".join(f"{symbol}{counts[symbol] if counts[symbol] > 1 else ''}" for symbol in order)


def check_atoms(atoms: Sequence[tuple[str, Sequence[float]]]) -> Atoms:
    """Return the atoms with normal symbols, after checking that they are apart from each other.

    Ghosts have the symbol "ghost-H".

    Raises:
        InputError: No atom, too many, an unknown element, a coordinate that is not finite, or two nuclei
            closer than 0.2 Angstrom.
    """
    if not 0 < len(atoms) <= MOST_ATOMS:
        raise InputError(f"the molecule has {len(atoms) or 'no'} atoms: give 1 to {MOST_ATOMS:,}")
    clean = []
    for number, (label, position) in enumerate(atoms, start=1):
        ghost = ghost_element(str(label))
        symbol = f"ghost-{ghost}" if ghost is not None else element_symbol(str(label))
        if symbol is None:
            raise InputError(
                f"atom {number}: element {shortened(str(label))} is unknown: give a symbol such as N"
            )
        if len(position) != 3 or not all(abs(float(x)) < _FARTHEST for x in position):
            raise InputError(
                f"atom {number} ({symbol}): give three finite coordinates below {_FARTHEST:g} Angstrom"
            )
        clean.append((symbol, (float(position[0]), float(position[1]), float(position[2]))))
    for i, (_, first) in enumerate(clean):
        for j, (_, second) in enumerate(clean[:i]):
            distance = math.dist(first, second)
            if distance < _CLOSEST:
                raise InputError(
                    f"atoms {j + 1} and {i + 1} are {distance:.3f} Angstrom apart: "
                    "nuclei must not overlap; check the coordinates and their unit"
                )
    if all(symbol not in ATOMIC_NUMBERS for symbol, _ in clean):
        raise InputError("the molecule has ghosts alone: give an atom with a nucleus")
    return tuple(clean)


def _chain_atoms(name: str) -> list[tuple[str, tuple[float, float, float]]]:
    """Return the atoms of a chain along z ("H10-chain-1.8") or a polygon in the x-y plane ("H6-ring-1.0").

    None are returned where the name is not of that form, or has fewer than three in a ring.
    """
    match = _CHAIN.fullmatch(name)
    if match is None:
        return []
    element, count, distance = match[1], int(match[2]), float(match[4])
    if count > MOST_ATOMS:
        raise InputError(f"{count:,} atoms are more than {MOST_ATOMS:,}: give a smaller molecule")
    if match[3].casefold() == "chain":
        return [(element, (0.0, 0.0, k * distance)) for k in range(count)]
    if count < 3:
        return []
    radius = distance / (2.0 * math.sin(math.pi / count))
    angles = [2.0 * math.pi * k / count for k in range(count)]
    return [(element, (radius * math.cos(a), radius * math.sin(a), 0.0)) for a in angles]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long for a name, or a null character in it
        return False


def _parse_xyz(path: Path, source: str, scale: float) -> Geometry:
    rows, comment = xyz_rows(read_text(path), source)
    atoms = [_atom(fields, f"{source}, line {k}", scale) for k, fields in enumerate(rows, start=3)]
    warnings = comment_warnings(comment, source, bohr=scale != 1.0)
    return replace(_geometry(path.stem, atoms, *stated_electrons(comment)), warnings=warnings)


def _geometry(
    name: str,
    atoms: Sequence[tuple[str, Sequence[float]]],
    charge: int | None = None,
    two_s: int | None = None,
) -> Geometry:
    """Return the geometry of labelled atoms."""
    checked = check_atoms(atoms)
    labels = []
    for (text, _), (symbol, _) in zip(atoms, checked, strict=True):
        match = _GHOST.fullmatch(text)
        prefix, own = ("", text) if match is None else ("ghost-", match[1] or match[2])
        labels.append(symbol if own.isdigit() else f"{prefix}{own.capitalize()}")
    plain = tuple(labels) == tuple(symbol for symbol, _ in checked)
    return Geometry(name, checked, charge, two_s, () if plain else tuple(labels))


def _looks_like_atom(text: str) -> bool:
    fields = text.replace(",", " ").split()
    is_atom = len(fields) > 1 and (element_symbol(fields[0]) or ghost_element(fields[0]))
    return bool(is_atom) or len(fields) == 4


def _atom(fields: Sequence[str], where: str, scale: float) -> tuple[str, tuple[float, float, float]]:
    """Return label and position of an atom from (symbol, x, y, z, ...)."""
    if element_symbol(fields[0]) is None and ghost_element(fields[0]) is None:
        raise InputError(f"{where}: element {shortened(fields[0])} is unknown: give a symbol such as N")
    try:
        x, y, z = (scale * coordinate(field) for field in fields[1:4])
    except ValueError:
        text = shortened(" ".join(fields[:4]))
        raise InputError(f"{where}: {text} has a coordinate that is not a number") from None
    return fields[0], (x, y, z)

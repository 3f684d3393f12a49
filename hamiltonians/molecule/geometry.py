"""Geometries from a bundled name, an .xyz file or inline text: use `read_geometry` for all three."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path

from hamiltonians.errors import InputError, nearest_names

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
_CHAIN = re.compile(r"([A-Za-z]{1,2})(\d+)-(chain|ring)-(\d*\.?\d+)", re.IGNORECASE)

Atoms = tuple[tuple[str, tuple[float, float, float]], ...]


@dataclass(frozen=True)
class Geometry:
    """Nuclei of a molecule, with the charge and spin that its source states."""

    name: str
    """Bundled name, stem of the file, or formula."""
    atoms: Atoms
    """(symbol, (x, y, z)) of every atom, in Angstrom."""
    charge: int | None = None
    """Total charge where the source states it."""
    two_S: int | None = None
    """Number of unpaired electrons, 2S, where the source states it."""

    @property
    def formula(self) -> str:
        """Formula in Hill's order."""
        return hill_formula([symbol for symbol, _ in self.atoms])

    @property
    def nuclear_charge(self) -> int:
        """Sum of the atomic numbers."""
        return sum(ATOMIC_NUMBERS[symbol] for symbol, _ in self.atoms)


def read_geometry(molecule: str | Path | Geometry, *, unit: str = "angstrom") -> Geometry:
    """Read a molecule from whatever the user gave.

    Args:
        molecule: A bundled name (any case), a path to an .xyz file, inline text such as
            "N 0 0 0; N 0 0 1.1" (semicolons or newlines between atoms), or a chain or ring of one
            element with its spacing: "H10-chain-1.8", "H6-ring-1.0".
        unit: Unit of inline text and spacings, "angstrom" or "bohr". Bundled and .xyz files are in
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
    if bundled is not None:
        return _parse_xyz(bundled.read_text(encoding="utf-8"), bundled.stem, f"bundled {bundled.stem}")
    scale = BOHR_IN_ANGSTROM if unit.casefold() in ("bohr", "au") else 1.0
    chain = _chain_atoms(text)
    if chain:
        scaled = [(symbol, [scale * x for x in position]) for symbol, position in chain]
        return Geometry(text, check_atoms(scaled))
    inline = bool(re.search(r"[;\n]", text)) or _looks_like_atom(text)
    if not inline:
        path = Path(text)
        if path.suffix.casefold() == ".xyz" or _is_file(path):
            return _read_xyz(path)
        close = nearest_names(text, bundled_molecules())
        hint = f"nearest bundled names: {', '.join(close)}; " if close else ""
        raise InputError(
            f"molecule {text!r} is unknown: {hint}give a bundled name, an .xyz file or 'N 0 0 0; N 0 0 1.1'"
        )
    lines = [line for line in re.split(r"[;\n]", text) if line.strip()]
    atoms = tuple(_parse_atom(line, f"atom {k}", scale) for k, line in enumerate(lines, start=1))
    return Geometry(hill_formula([symbol for symbol, _ in atoms]), check_atoms(atoms))


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
    if text.isdigit():
        number = int(text)
        return _SYMBOLS[number - 1] if 1 <= number <= len(_SYMBOLS) else None
    symbol = "".join(takewhile(str.isalpha, text)).capitalize()
    if symbol in ("D", "T"):
        return "H"
    return symbol if symbol in ATOMIC_NUMBERS else None


def hill_formula(symbols: list[str] | tuple[str, ...]) -> str:
    """Return the formula in Hill's order: carbon, hydrogen, then the alphabet."""
    first = ("C", "H") if "C" in symbols else ()
    counts = Counter(symbols)
    order = sorted(counts, key=lambda symbol: (symbol not in first, symbol))
    return "".join(f"{symbol}{counts[symbol] if counts[symbol] > 1 else ''}" for symbol in order)


def check_atoms(atoms: Sequence[tuple[str, Sequence[float]]]) -> Atoms:
    """Return the atoms with normal symbols, after checking that they are apart from each other.

    Raises:
        InputError: No atom, an unknown element, a coordinate that is not finite, or two nuclei
            closer than 0.2 Angstrom.
    """
    if not atoms:
        raise InputError("the molecule has no atoms: give at least one")
    clean = []
    for number, (label, position) in enumerate(atoms, start=1):
        symbol = element_symbol(str(label))
        if symbol is None:
            raise InputError(f"atom {number}: element {label!r} is unknown: give a symbol such as N")
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
    return tuple(clean)


def _chain_atoms(name: str) -> list[tuple[str, tuple[float, float, float]]]:
    """Return the atoms of a chain along z ("H10-chain-1.8") or a polygon in the x-y plane ("H6-ring-1.0").

    None are returned where the name is not of that form, or has fewer than three in a ring.
    """
    match = _CHAIN.fullmatch(name)
    if match is None:
        return []
    element, count, distance = match[1], int(match[2]), float(match[4])
    if match[3].casefold() == "chain":
        return [(element, (0.0, 0.0, k * distance)) for k in range(count)]
    if count < 3:
        return []
    radius = distance / (2.0 * math.sin(math.pi / count))
    angles = [2.0 * math.pi * k / count for k in range(count)]
    return [(element, (radius * math.cos(a), radius * math.sin(a), 0.0)) for a in angles]


def _read_xyz(path: Path) -> Geometry:
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = (error.strerror or "unreadable") if isinstance(error, OSError) else "not a text file"
        raise InputError(f"cannot read {path}: {reason}; give an .xyz text file") from error
    return _parse_xyz(content, path.stem, str(path))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long for a name, or a null character in it
        return False


def _parse_xyz(content: str, name: str, source: str) -> Geometry:
    lines = content.splitlines()
    if not any(line.strip() for line in lines):
        raise InputError(f"{source} is empty: give the atom count, a comment line, then the atoms")
    first = lines[0].split()
    if len(first) != 1 or not first[0].isdigit():
        raise InputError(f"{source}: the first line must be the number of atoms, found {lines[0]!r}")
    count = int(first[0])
    comment = lines[1] if len(lines) > 1 else ""
    body = lines[2:]
    while body and not body[-1].strip():
        body.pop()
    if count == 0 or len(body) != count:
        raise InputError(
            f"{source}: the first line says {count} atoms, {len(body)} lines follow the comment: "
            "give one line an atom and a single geometry"
        )
    atoms = tuple(_parse_atom(line, f"{source}, line {k}", 1.0) for k, line in enumerate(body, start=3))
    charge = _stated(comment, r"\bcharge\s*[=:]?\s*([+-]?\d+)")
    two_s = _stated(comment, r"(?:\b2\s*S|\bspin)\s*[=:]?\s*(\d+)")
    multiplicity = _stated(comment, r"\bmult(?:iplicity)?\s*[=:]?\s*(\d+)")
    if two_s is None and multiplicity:
        two_s = multiplicity - 1
    return Geometry(name, check_atoms(atoms), charge, two_s)


def _stated(comment: str, pattern: str) -> int | None:
    match = re.search(pattern, comment, flags=re.IGNORECASE)
    return int(match.group(1)) if match else None


def _looks_like_atom(text: str) -> bool:
    fields = text.replace(",", " ").split()
    return len(fields) > 1 and (element_symbol(fields[0]) is not None or len(fields) == 4)


def _parse_atom(line: str, where: str, scale: float) -> tuple[str, tuple[float, float, float]]:
    fields = line.replace(",", " ").split()
    if len(fields) < 4:
        raise InputError(f"{where}: {line.strip()!r} is not an atom: give 'symbol x y z'")
    symbol = element_symbol(fields[0])
    if symbol is None:
        raise InputError(f"{where}: element {fields[0]!r} is unknown: give a symbol such as N")
    try:
        x, y, z = (scale * float(re.sub("[dD]", "e", field)) for field in fields[1:4])
    except ValueError:
        raise InputError(f"{where}: {line.strip()!r} has a coordinate that is not a number") from None
    return symbol, (x, y, z)

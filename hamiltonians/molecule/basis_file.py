"""Basis sets and effective core potentials of a file, in the formats of NWChem or Gaussian.

Basis Set Exchange gives its sets away in both. Nothing is evaluated: files are words and numbers.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hamiltonians.errors import InputError
from hamiltonians.molecule.geometry import ATOMIC_NUMBERS
from hamiltonians.molecule.xyz import coordinate, read_text, shortened

_MOST_PRIMITIVES = 1000  # of an element
_SHELLS = "SPDFGHIK"
_POWERS = 7  # of r, in a potential

Rows = list[list[float]]


@dataclass(frozen=True)
class BasisFile:
    """Content of a file, as PySCF has it when it is parsed."""

    path: str
    """The file."""
    basis: dict[str, list]
    """Shells [l, [exponent, coefficients...], ...] by element."""
    potentials: dict[str, list]
    """Effective core potentials [electrons, [[l, terms by power of r], ...]] by element."""
    warnings: tuple[str, ...] = ()
    """Warnings, one line each."""


def read_basis_file(path: str | Path) -> BasisFile:
    """Read basis sets, and the potentials beside them.

    Args:
        path: A file in NWChem's format (with or without its lines BASIS, ECP, END), or in Gaussian's.

    Raises:
        InputError: The file cannot be read, or holds something else.
    """
    source = Path(path).expanduser()
    text = read_text(source, "another basis_file")
    reader = _Reader(str(source))
    is_gaussian = re.search(r"(?m)^\s*-?[A-Za-z]{1,2}\s+0\s*$", text) is not None
    (reader.gaussian if is_gaussian else reader.nwchem)(reader.lines(text))
    return reader.found(re.search(r"(?im)^\s*basis\b.*\bcartesian\b", text) is not None)


class _Reader:
    """What the lines of a file have said so far."""

    def __init__(self, source: str) -> None:
        self.source, self.number = source, 0
        self.shells: dict[str, list[tuple[str, Rows]]] = {}
        self.electrons: dict[str, int] = {}
        self.parts: dict[str, list[tuple[int, Rows]]] = {}

    def lines(self, text: str) -> Iterator[list[str]]:
        """Words of every line that has some, without comments."""
        for number, line in enumerate(text.splitlines(), start=1):
            self.number = number
            words = re.split("[#!]", line, maxsplit=1)[0].split()
            if words:
                yield words

    def nwchem(self, lines: Iterator[list[str]]) -> None:
        rows: Rows | None = None
        in_potential = False
        for words in lines:
            if words[0].casefold() in ("basis", "ecp", "end"):
                rows, in_potential = None, words[0].casefold() == "ecp"
            elif words[0][0].isalpha() and len(words) == 3 and words[1].casefold() == "nelec":
                self.electrons[self._element(words[0])] = self._whole(words[2])
            elif words[0][0].isalpha() and len(words) == 2:
                rows = []
                self._begin(self._element(words[0]), words[1], rows, in_potential)
            elif rows is not None:
                rows.append([self._number(word) for word in words])
            else:
                raise self._wrong(words)

    def gaussian(self, lines: Iterator[list[str]]) -> None:
        element = ""
        for words in lines:
            if set(words[0]) == {"*"}:
                element = ""
            elif not element:
                element = self._element(words[0].removeprefix("-"))
            elif len(words) == 3 and words[0].casefold().endswith("-ecp"):
                self.electrons[element] = self._whole(words[2])
                for k in range(self._whole(words[1]) + 1):
                    next(lines, None)  # a title
                    count = self._whole(next(lines, [""])[0])
                    name = "UL" if k == 0 else _SHELLS[min(k, len(_SHELLS)) - 1]
                    self._begin(element, name, self._table(lines, count), in_potential=True)
            elif len(words) in (2, 3):
                scale = self._number(words[2]) ** 2 if len(words) == 3 else 1.0
                rows = self._table(lines, self._whole(words[1]))
                rows = [[scale * exponent, *rest] for exponent, *rest in rows]
                self._begin(element, {"L": "SP"}.get(words[0].upper(), words[0]), rows, in_potential=False)
            else:
                raise self._wrong(words)

    def found(self, is_cartesian: bool) -> BasisFile:
        """Return the sets, checked."""
        from pyscf.gto.basis.parse_nwchem import optimize_contraction, remove_zero

        if not self.shells:
            raise InputError(
                f"{self.source} has no basis set in the format of NWChem or Gaussian: give another basis_file"
            )
        basis = {}
        for element, shells in self.shells.items():
            plain = [shell for kind, rows in shells for shell in self._plain(element, kind, rows)]
            plain.sort(key=lambda shell: shell[0])
            basis[element] = remove_zero(optimize_contraction(plain))
            if not basis[element] or sum(len(shell) - 1 for shell in plain) > _MOST_PRIMITIVES:
                raise InputError(
                    f"{self.source}: the basis of {element} must have from 1 to {_MOST_PRIMITIVES} primitives"
                )
        potentials = {
            element: [count, [self._part(element, *part) for part in sorted(self.parts.get(element, []))]]
            for element, count in self.electrons.items()
        }
        angular = any(shell[0] > 1 for shells in basis.values() for shell in shells)
        notes = (f"{self.source} asks for Cartesian functions: spherical ones are taken",)
        return BasisFile(self.source, basis, potentials, notes if is_cartesian and angular else ())

    def _begin(self, element: str, kind: str, rows: Rows, in_potential: bool) -> None:
        kind = kind.upper()
        if in_potential and (kind == "UL" or kind in _SHELLS):
            self.parts.setdefault(element, []).append((-1 if kind == "UL" else _SHELLS.index(kind), rows))
        elif not in_potential and (kind == "SP" or kind in _SHELLS):
            self.shells.setdefault(element, []).append((kind, rows))
        else:
            raise self._wrong([element, kind])

    def _table(self, lines: Iterator[list[str]], count: int) -> Rows:
        rows = [[self._number(word) for word in words] for _, words in zip(range(count), lines, strict=False)]
        if len(rows) < count:
            raise InputError(f"{self.source} ends in the middle of a table: give a whole basis_file")
        return rows

    def _plain(self, element: str, kind: str, rows: Rows) -> list[list]:
        """Return PySCF's shells of one that is listed: of SP there are two."""
        widths = {len(row) for row in rows}
        if len(widths) != 1 or widths == {1} or (kind == "SP" and widths != {3}):
            raise InputError(
                f"{self.source}: a shell {kind} of {element} needs an exponent and as many coefficients in "
                "each of its lines"
            )
        if any(row[0] <= 0 for row in rows):
            raise InputError(f"{self.source}: an exponent of {element} is not positive")
        if kind == "SP":
            return [[0, *([e, s] for e, s, _ in rows)], [1, *([e, p] for e, _, p in rows)]]
        return [[_SHELLS.index(kind), *rows]]

    def _part(self, element: str, angular: int, rows: Rows) -> list:
        powers: list[Rows] = [[] for _ in range(_POWERS)]
        for row in rows:
            if len(row) != 3 or row[0] not in range(_POWERS) or row[1] < 0:
                raise InputError(
                    f"{self.source}: a potential of {element} needs a power of r from 0 to {_POWERS - 1}, an "
                    "exponent and a coefficient in each line"
                )
            if row[2]:
                powers[int(row[0])].append(row[1:])
        return [angular, powers]

    def _element(self, word: str) -> str:
        symbol = word.capitalize()
        if symbol not in ATOMIC_NUMBERS:
            raise self._wrong([word])
        return symbol

    def _whole(self, word: str) -> int:
        if not re.fullmatch("[0-9]{1,4}", word):
            raise self._wrong([word])
        return int(word)

    def _number(self, word: str) -> float:
        try:
            number = coordinate(word)
        except ValueError:
            raise self._wrong([word]) from None
        if not math.isfinite(number):
            raise self._wrong([word])
        return number

    def _wrong(self, words: list[str]) -> InputError:
        return InputError(
            f"{self.source}, line {self.number}: {shortened(' '.join(words))} is not understood: give a "
            "basis set in the format of NWChem or Gaussian"
        )

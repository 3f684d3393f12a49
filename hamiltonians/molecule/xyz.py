"""Dialects of .xyz files: plain, extended (columns in any order), of QM9; charges and spins in comments."""

import re
from pathlib import Path

from hamiltonians import foreign
from hamiltonians.errors import InputError, reason_of

MOST_ATOMS = 1000
"""Largest number of atoms of a molecule: each has an orbital at least."""
_LARGEST = 10_000_000  # bytes of a file

_WHOLE = r"[\"']?\s*(?:[=:]|\bis\b)?\s*[\"']?([+-]?\d{1,3}(?:\.0*)?[+-]?)(?![\w.=/])"
_CHARGE = rf"(?<![A-Za-z])(?:charge|chrg|q(?=\s*[=:])){_WHOLE}"
_TWO_S = rf"\b(?:2\s*S|spin|uhf|n?unpaired(?:[_ ]electrons)?){_WHOLE}"
_MULTIPLICITY = rf"(?<![A-Za-z])(?:2\s*S\s*\+\s*1|mult|multiplicity){_WHOLE}"
_GAUSSIAN = r"\s*([+-]?\d{1,2})[\s,]+(\d{1,2})\s*"  # "-1 2": charge and multiplicity, and nothing else
_MEANT = (
    ("charge", r"charge\b|\b(?:cat|an|di)ion"),
    ("spin", r"multiplicity|\bspin\b|unpaired|singlet|doublet|triplet|quartet|quintet"),
)
_PROPERTIES = re.compile(r"\bProperties\s*=\s*[\"']?([\w:.-]*)[\"']?", re.IGNORECASE)
_SPECIES = ("species", "symbol", "symbols", "element", "z", "numbers", "atomic_numbers")
_POSITION = ("pos", "position", "positions", "coords")


def read_text(path: Path, kind: str = "an .xyz text file") -> str:
    """Return the text of a small file in UTF-8, with or without a byte order mark.

    Raises:
        InputError: The file cannot be read, is larger than 10 MB or is no text.
    """
    try:
        return foreign.read_text(path, _LARGEST)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {reason_of(error)}; give {kind}") from error


def xyz_rows(content: str, source: str) -> tuple[list[list[str]], str]:
    """Split an .xyz file.

    Args:
        content: Its text.
        source: Its name in messages.

    Returns:
        (symbol, x, y, z) of every atom as text, and the comment.

    Raises:
        InputError: The number of atoms is wrong, there are several geometries, or columns are missing.
    """
    lines = content.splitlines()
    if not any(line.strip() for line in lines):
        raise InputError(f"{source} is empty: give the atom count, a comment line, then the atoms")
    first = lines[0].split()
    if len(first) != 1 or not re.fullmatch(r"[0-9]{1,9}", first[0]):
        raise InputError(
            f"{source}: the first line must be the number of atoms, found {shortened(lines[0].strip())}"
        )
    count = int(first[0])
    if count > MOST_ATOMS:
        raise InputError(f"{source}: {count:,} atoms are more than {MOST_ATOMS:,}: give a smaller molecule")
    comment = lines[1] if len(lines) > 1 else ""
    body = lines[2:]
    tail = [line for line in body[count:] if line.strip() and not line.lstrip().startswith("#")]
    # QM9 closes with frequencies, SMILES and InChI.
    if 1 <= len(tail) <= 3 and tail[-1].startswith("InChI="):
        tail = []
    n_lines = len("\n".join(body[:count]).rstrip().split("\n")) if body else 0
    if count == 0 or n_lines != count or tail:
        raise InputError(
            f"{source}: the first line says {count} atoms, {n_lines + len(tail)} lines follow the comment: "
            "give one line an atom and a single geometry"
        )
    species, position = _columns(comment, source)
    rows = []
    for number, line in enumerate(body[:count], start=3):
        fields = line.replace(",", " ").split()
        if len(fields) <= max(species, position + 2):
            raise InputError(
                f"{source}, line {number}: {shortened(line.strip())} is not an atom: give 'symbol x y z'"
            )
        rows.append([fields[species], *fields[position : position + 3]])
    return rows, comment


def stated_electrons(comment: str) -> tuple[int | None, int | None]:
    """Return the charge and 2S that a comment states, in one of the usual dialects; None where it does not.

    Understood are "charge=-1 multiplicity=2", "total_charge: 1-, 2S=1", '{"charge": -1}', "spin 1" (2S),
    "uhf=1" and a comment "-1 2" (charge and multiplicity).
    """
    comment = _PROPERTIES.sub("", comment)
    pair = re.fullmatch(_GAUSSIAN, comment)
    if pair is not None and int(pair[2]) > 0:
        return int(pair[1]), int(pair[2]) - 1
    charge, two_s, multiplicity = (_stated(comment, key) for key in (_CHARGE, _TWO_S, _MULTIPLICITY))
    if multiplicity is not None and multiplicity > 0 and two_s is None:
        two_s = multiplicity - 1
    return charge, two_s


def comment_warnings(comment: str, source: str, *, bohr: bool) -> tuple[str, ...]:
    """Return warnings about what a comment seems to say, and what was not understood."""
    found = []
    plain = _PROPERTIES.sub("", comment)
    for (word, pattern), value in zip(_MEANT, stated_electrons(comment), strict=True):
        if value is None and re.search(pattern, plain, flags=re.IGNORECASE):
            found.append(f"the comment of {source} mentions a {word} that is not understood: give {word}")
    if not bohr and re.search(r"\bbohrs?\b|\ba\.u\.", plain, flags=re.IGNORECASE):
        found.append(f"the comment of {source} mentions bohr, its numbers were taken as angstrom: give unit")
    boundary = re.search(r"\bpbc\s*=\s*[\"']?([TF01 ]*)", plain, flags=re.IGNORECASE)
    if re.search(r"\bLattice\s*=", plain, flags=re.IGNORECASE) and (
        boundary is None or re.search("[T1]", boundary[1], flags=re.IGNORECASE)
    ):
        found.append(f"the periodic cell of {source} was ignored: this is one molecule in free space")
    return tuple(found)


def coordinate(text: str) -> float:
    """Return a number as programs write it: "1.0D-2", "-4.69*^-1".

    Raises:
        ValueError: It is none.
    """
    if "_" in text or len(text) > 60:
        raise ValueError(text)
    return float(re.sub(r"\*\^|[dD]", "e", text))


def shortened(text: str) -> str:
    """Return a piece of a file for a message."""
    return repr(text if len(text) <= 60 else f"{text[:60]}...")


def _columns(comment: str, source: str) -> tuple[int, int]:
    """Return the first columns of symbol and position, from "Properties=..." of an extended .xyz file."""
    match = _PROPERTIES.search(comment)
    if match is None:
        return 0, 1
    parts = match[1].split(":")
    found, start = {}, 0
    for name, width in zip(parts[::3], parts[2::3], strict=False):
        if not re.fullmatch(r"[0-9]{1,3}", width):
            break
        found[name.casefold()] = start
        start += int(width)
    species = [found[name] for name in _SPECIES if name in found]
    position = [found[name] for name in _POSITION if name in found]
    if not species or not position:
        raise InputError(
            f"{source}: Properties={shortened(match[1])} names no species or no pos: "
            "give both, such as species:S:1:pos:R:3"
        )
    return species[0], position[0]


def _stated(comment: str, pattern: str) -> int | None:
    match = re.search(pattern, comment, flags=re.IGNORECASE | re.ASCII)
    if match is None:
        return None
    digits = match[1].partition(".")[0].strip("+-")
    return -int(digits) if "-" in match[1] else int(digits)

"""The text of FCIDUMP files: a Fortran namelist and lines "value i j k l", as many programs write them."""

import re

import numpy as np

from hamiltonians.errors import InputError

_MOST_REPEATS = 800
_LONGEST = 64  # characters of a number


def split(text: str) -> tuple[str, str, int]:
    """Return the namelist &FCI, what follows it without comments (behind ! or #), and its first line."""
    text = re.sub(r"[!#].*", "", text)
    start = re.search(r"[&$]\s*FCI\b", text, flags=re.IGNORECASE)
    if start is None:
        raise InputError("there is no &FCI header: this is not a FCIDUMP file")
    stop = re.compile(r"[&$]\s*END\b|/", flags=re.IGNORECASE).search(text, start.end())
    if stop is None:
        raise InputError("the header is not closed by &END or /: the file is truncated")
    first_line = text.count("\n", 0, stop.end()) + 1
    return text[start.end() : stop.start()], text[stop.end() :], first_line


def namelist_fields(namelist: str) -> dict[str, list[str]]:
    """Return the values of a namelist as text, by name in capitals; "2*1" stands for "1,1"."""
    fields: dict[str, list[str]] = {}
    # One blank at most, and words from their beginning: linear in the length, whatever stands there.
    pattern = r"\b([A-Za-z_]\w*) ?(?:\([\d :]{0,20}\) ?)?="
    _, *parts = re.split(pattern, re.sub(r"\s+", " ", namelist))
    for key, listed in zip(parts[::2], parts[1::2], strict=True):
        values: list[str] = []
        for value in re.split(r"[,\s]+", listed.strip(", \t\r\n")):
            repeat, star, single = value.partition("*")
            if star and re.fullmatch("[0-9]{1,4}", repeat) and int(repeat) <= _MOST_REPEATS:
                values += [single] * int(repeat)
            elif value:
                values.append(value)
        fields[key.upper()] = values
    return fields


def whole(fields: dict[str, list[str]], key: str) -> int | None:
    """Return a whole number of a namelist, or None where it is not given."""
    values = fields.get(key)
    if not values:
        return None
    try:
        return int(values[0])
    except ValueError:
        raise InputError(f"{key} = {values[0][:40]!r} in the header is not a whole number") from None


def flag(fields: dict[str, list[str]], key: str) -> bool | None:
    """Return a switch of a namelist (1, T or .TRUE.), or None where it is not given."""
    values = fields.get(key)
    if not values:
        return None
    word = values[0].strip(".").casefold()
    return word.startswith("t") or (word.isdecimal() and word.strip("0") != "")


def table(body: str, first_line: int) -> tuple[np.ndarray, np.ndarray]:
    """Return orbital indices as listed, (n, 4) int, and values, (n,).

    Raises:
        InputError: A line is no integral, complex, or not finite.
    """
    body = re.sub(r"\( *([^\s(),]+) *, *([^\s(),]+) *\)", r"\1 \2", body)
    body = body.replace("d", "e").replace("D", "e")
    lines = body.splitlines()
    fields: list[str] = []
    for number, line in enumerate(lines):
        row = line.split()
        if len(row) == 6:
            row = [_real(row[:2], first_line + number), *row[2:]]
        if len(row) not in (0, 5):
            raise InputError(
                f"line {first_line + number} has {len(row)} fields instead of 'value i j k l': "
                "the file is truncated"
            )
        fields += row
    if max(map(len, fields), default=0) > _LONGEST:  # an array of text is as wide as its longest word
        longest = max(fields, key=len)
        raise InputError(f"{longest[:20]}... has {len(longest):,} characters: this is not an integral")
    tokens = np.array(fields).reshape(-1, 5)
    if not tokens.size:
        raise InputError("the file ends after its header: it is truncated")
    try:
        values = tokens[:, 0].astype(np.float64)
        indices = tokens[:, 1:].astype(np.int64)
    except (ValueError, OverflowError):
        wrong = next((k for k, line in enumerate(lines) if line.split() and not _is_row(line.split())), 0)
        raise InputError(
            f"line {first_line + wrong} is not 'value i j k l': {lines[wrong].strip()[:60]!r}"
        ) from None
    if not np.isfinite(values).all():
        raise InputError("the file holds NaN or infinite integrals")
    return indices, values


def _is_row(fields: list[str]) -> bool:
    try:
        numbers = [float(fields[0]), *map(int, fields[-4:])]
    except ValueError:
        return False
    return len(numbers) == 5 and all(abs(number) < 2**63 for number in numbers[1:])


def _real(pair: list[str], line: int) -> str:
    """Return the real part of a complex number without imaginary part."""
    try:
        imaginary = abs(float(pair[1]))
    except ValueError:
        imaginary = np.inf
    if not imaginary <= 1e-12:
        raise InputError(
            f"line {line} has 6 fields, a complex integral (re,im): complex ones are not supported, rotate "
            "to real orbitals"
        )
    return pair[0]

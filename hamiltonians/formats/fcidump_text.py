"""The text of a FCIDUMP file, turned into a header and rows of integrals."""

import re
from dataclasses import dataclass

import numpy as np

from hamiltonians.errors import InputError

Rows = tuple[np.ndarray, np.ndarray]
"""Orbital indices from 0, (n, 4) or (n, 2) int, and values (n,)."""

_MOST_ORBITALS = 400


@dataclass(frozen=True)
class FcidumpHeader:
    """Values of the namelist &FCI."""

    n_orbitals: int
    """Spatial orbitals."""
    n_alpha: int
    """Alpha electrons."""
    n_beta: int
    """Beta electrons."""
    irreps: tuple[str, ...] | None
    """ORBSYM, one number an orbital as text, or None where it says nothing."""
    total_irrep: int
    """ISYM - 1: the irrep code of the wave function."""
    warnings: tuple[str, ...]
    """Keys that were ignored."""


@dataclass(frozen=True)
class IntegralRows:
    """The integrals as listed."""

    one_body: tuple[Rows, ...]
    """One block, or (alpha, beta)."""
    two_body: tuple[Rows, ...]
    """One block, or (aa, ab, bb)."""
    constant: float | None
    """Core energy, or None where the file has none."""


def parse_fcidump(text: str) -> tuple[FcidumpHeader, IntegralRows]:
    """Parse a whole file.

    Raises:
        InputError: See `hamiltonians.formats.fcidump.read_fcidump`.
    """
    namelist, body, first_line = _split(text)
    fields = _namelist_fields(namelist)
    indices, values = _table(body, first_line)
    n_orbitals = _whole(fields, "NORB")
    if n_orbitals is None or not 1 <= n_orbitals <= _MOST_ORBITALS:
        raise InputError(
            "the header lacks NORB: give the number of orbitals"
            if n_orbitals is None
            else f"NORB = {n_orbitals}: give 1 to {_MOST_ORBITALS}"
        )
    unrestricted = bool(
        (_whole(fields, "IUHF") or 0) > 0 or _flag(fields, "UHF") or _flag(fields, "RESTRICTED") is False
    )
    zero_rows = np.flatnonzero(~indices.any(axis=1))
    highest = int(indices.max(initial=0))
    interleaved = unrestricted and zero_rows.size < 5
    listed = n_orbitals  # length of ORBSYM
    if interleaved:
        if highest <= n_orbitals and n_orbitals % 2 == 0:
            n_orbitals //= 2  # NORB counts spin orbitals
        elif highest <= n_orbitals:
            raise InputError("IUHF=1 without separator lines '0.0 0 0 0 0' between aa, bb, ab, h_a and h_b")
    limit = 2 * n_orbitals if interleaved else n_orbitals
    if highest > limit or int(indices.min(initial=0)) < 0:
        wrong = int(np.argmax((indices > limit).any(axis=1) | (indices < 0).any(axis=1)))
        raise InputError(f"orbital indices {indices[wrong].tolist()} are outside 1 to {limit}")
    if interleaved:
        rows = _interleaved_rows(indices, values, zero_rows)
    elif unrestricted:
        rows = _block_rows(indices, values, zero_rows)
    else:
        rows = _restricted_rows(indices, values, zero_rows)
    if any(not block[1].size for block in rows.one_body):
        raise InputError("the file has no one-body integrals (i j 0 0): it is truncated")
    return _header(fields, n_orbitals, listed), rows


def _split(text: str) -> tuple[str, str, int]:
    start = re.search(r"[&$]\s*FCI\b", text, flags=re.IGNORECASE)
    if start is None:
        raise InputError("there is no &FCI header: this is not a FCIDUMP file")
    stop = re.compile(r"[&$]\s*END\b|/", flags=re.IGNORECASE).search(text, start.end())
    if stop is None:
        raise InputError("the header is not closed by &END or /: the file is truncated")
    first_line = text.count("\n", 0, stop.end()) + 1
    return text[start.end() : stop.start()], text[stop.end() :], first_line


def _namelist_fields(namelist: str) -> dict[str, list[str]]:
    namelist = re.sub(r"!.*", "", namelist)
    fields: dict[str, list[str]] = {}
    pattern = r"([A-Za-z_]\w*)\s*(?:\(\s*\d*\s*:?\s*\d*\s*\))?\s*="
    keys = list(re.finditer(pattern, namelist))
    for number, key in enumerate(keys):
        end = keys[number + 1].start() if number + 1 < len(keys) else len(namelist)
        values: list[str] = []
        for value in re.split(r"[,\s]+", namelist[key.end() : end].strip(", \t\r\n")):
            repeat, star, single = value.partition("*")
            if star and repeat.isdigit() and int(repeat) <= 2 * _MOST_ORBITALS:
                values += [single] * int(repeat)
            elif value:
                values.append(value)
        fields[key.group(1).upper()] = values
    return fields


def _whole(fields: dict[str, list[str]], key: str) -> int | None:
    values = fields.get(key)
    if not values:
        return None
    try:
        return int(values[0])
    except ValueError:
        raise InputError(f"{key} = {values[0]!r} in the header is not a whole number") from None


def _flag(fields: dict[str, list[str]], key: str) -> bool | None:
    values = fields.get(key)
    if not values:
        return None
    return values[0].strip(".").casefold().startswith("t") or values[0] == "1"


def _header(fields: dict[str, list[str]], size: int, listed: int) -> FcidumpHeader:
    electrons = _whole(fields, "NELEC")
    if electrons is None:
        raise InputError("the header lacks NELEC: give the number of electrons")
    if not 0 <= electrons <= 2 * size:
        raise InputError(f"NELEC = {electrons} does not fit into {size} orbitals: give 0 to {2 * size}")
    two_s = _whole(fields, "MS2")
    two_s = electrons % 2 if two_s is None else abs(two_s)
    if (electrons - two_s) % 2 or two_s > min(electrons, 2 * size - electrons):
        raise InputError(
            f"MS2 = {two_s} does not fit {electrons} electrons in {size} orbitals: give 2S of equal parity"
        )
    irreps, warnings = _orbital_irreps(fields.get("ORBSYM"), size, listed)
    total = _whole(fields, "ISYM") or 1
    return FcidumpHeader(
        size,
        (electrons + two_s) // 2,
        (electrons - two_s) // 2,
        irreps,
        total - 1 if 1 <= total <= 8 else 0,
        warnings,
    )


def _orbital_irreps(
    values: list[str] | None, size: int, listed: int
) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    if not values:
        return None, ()
    try:
        numbers = [int(value) for value in values]
    except ValueError:
        raise InputError("ORBSYM in the header holds something that is not a whole number") from None
    if len(numbers) not in (size, listed):
        raise InputError(f"ORBSYM lists {len(numbers)} orbitals, NORB is {listed}: the header is damaged")
    if len(numbers) == 2 * size:
        numbers = numbers[::2]  # one number a spin orbital
    if len(set(numbers)) == 1:
        return None, ()
    if min(numbers) == 0 and max(numbers) <= 7:
        numbers = [number + 1 for number in numbers]  # some programs count irreps from zero
    if min(numbers) < 1 or max(numbers) > 8:
        return None, ("ORBSYM holds numbers outside 1 to 8: it was ignored",)
    return tuple(map(str, numbers)), ()


def _table(body: str, first_line: int) -> Rows:
    if "(" in body:
        raise InputError(
            "the file holds complex integrals '(re,im)', which are not supported: rotate to real orbitals"
        )
    if "!" in body:
        body = re.sub(r"!.*", "", body)
    if re.search(r"[dD]", body):
        body = re.sub(r"[dD]", "e", body)
    lines = body.splitlines()
    counts = [len(line.split()) for line in lines]
    for number, count in enumerate(counts):
        if count not in (0, 5):
            detail = "complex integrals are not supported" if count == 6 else "the file is truncated"
            raise InputError(
                f"line {first_line + number} has {count} fields instead of 'value i j k l': {detail}"
            )
    tokens = np.array(body.split()).reshape(-1, 5)
    if not tokens.size:
        raise InputError("the file ends after its header: it is truncated")
    try:
        values = tokens[:, 0].astype(np.float64)
        indices = tokens[:, 1:].astype(np.int64)
    except ValueError:
        raise InputError(f"{_first_wrong(lines, first_line)}") from None
    if not np.isfinite(values).all():
        raise InputError("the file holds NaN or infinite integrals")
    return indices, values


def _first_wrong(lines: list[str], first_line: int) -> str:
    for number, line in enumerate(lines):
        fields = line.split()
        try:
            if fields:
                float(fields[0])
                [int(field) for field in fields[1:]]
        except ValueError:
            return f"line {first_line + number} is not 'value i j k l': {line.strip()[:60]!r}"
    return "a line is not 'value i j k l'"


def _classify(indices: np.ndarray, values: np.ndarray) -> tuple[Rows, Rows]:
    """Return (one-body, two-body) rows with indices from 0; orbital energies (i 0 0 0) are left out."""
    present = indices > 0
    two = present.all(axis=1)
    one = present[:, 0] & present[:, 1] & ~present[:, 2] & ~present[:, 3]
    energy = present[:, 0] & ~present[:, 1:].any(axis=1)
    other = ~(two | one | energy | ~present.any(axis=1))
    if other.any():
        raise InputError(
            f"indices {indices[int(np.argmax(other))].tolist()} mean nothing: give 'i j k l', 'i j 0 0' "
            "or '0 0 0 0'"
        )
    return (indices[one] - 1, values[one]), (indices[two] - 1, values[two])


def _constant(values: np.ndarray) -> float | None:
    if not values.size:
        return None
    if np.ptp(values) > 1e-8 * max(1.0, float(np.abs(values).max())):
        raise InputError(
            f"two constant energies, {values[0]:.10g} and {values[-1]:.10g}: give one '0 0 0 0' line, "
            "or IUHF=1 for unrestricted integrals"
        )
    return float(values[-1])


def _restricted_rows(indices: np.ndarray, values: np.ndarray, zero_rows: np.ndarray) -> IntegralRows:
    one, two = _classify(indices, values)
    return IntegralRows((one,), (two,), _constant(values[zero_rows]))


def _block_rows(indices: np.ndarray, values: np.ndarray, zero_rows: np.ndarray) -> IntegralRows:
    """Blocks aa, bb, ab, h_a, h_b, each closed by a line of zeros; then the constant."""
    starts = [0, *(zero_rows[:5] + 1)]
    blocks = []
    for start, stop in zip(starts[:5], zero_rows[:5], strict=True):
        blocks.append(_classify(indices[start:stop], values[start:stop]))
    if any(one[1].size for one, _ in blocks[:3]) or any(two[1].size for _, two in blocks[3:]):
        raise InputError("IUHF=1 blocks are out of order: give aa, bb, ab, h_a, h_b")
    (_, aa), (_, bb), (_, ab), (h_alpha, _), (h_beta, _) = blocks
    # With a line of zeros missing after h_b, the fifth such line is the constant itself.
    constants = values[zero_rows[5:]] if zero_rows.size > 5 else values[zero_rows[4:]]
    return IntegralRows((h_alpha, h_beta), (aa, ab, bb), _constant(constants))


def _interleaved_rows(indices: np.ndarray, values: np.ndarray, zero_rows: np.ndarray) -> IntegralRows:
    """Spin orbitals 1, 3, 5, ... are alpha and 2, 4, 6, ... are beta."""
    one, two = _classify(indices, values)
    for rows, columns in ((one, ((0, 1),)), (two, ((0, 1), (2, 3)))):
        for left, right in columns:
            mixed = (rows[0][:, left] % 2 != rows[0][:, right] % 2) & (np.abs(rows[1]) > 1e-12)
            if mixed.any():
                raise InputError("an integral mixes alpha and beta orbitals: the spin is not conserved")
    one_blocks = []
    for spin in (0, 1):
        chosen = (one[0][:, 0] % 2 == spin) & (one[0][:, 1] % 2 == spin)
        one_blocks.append((one[0][chosen] // 2, one[1][chosen]))
    spins = two[0][:, [0, 2]] % 2
    conserving = (two[0][:, 0] % 2 == two[0][:, 1] % 2) & (two[0][:, 2] % 2 == two[0][:, 3] % 2)
    spatial = two[0] // 2
    same = [conserving & (spins == spin).all(axis=1) for spin in (0, 1)]
    mixed = conserving & (spins[:, 0] != spins[:, 1])
    ordered = np.where(spins[:, :1] == 0, spatial, spatial[:, [2, 3, 0, 1]])
    return IntegralRows(
        tuple(one_blocks),
        (
            (spatial[same[0]], two[1][same[0]]),
            (ordered[mixed], two[1][mixed]),
            (spatial[same[1]], two[1][same[1]]),
        ),
        _constant(values[zero_rows]),
    )

"""FCIDUMP files, the lingua franca of integrals: read every common variant, write the plain one.

Format: Knowles and Handy, Comput. Phys. Commun. 54, 75 (1989).
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hamiltonians.errors import InputError, reason_of
from hamiltonians.formats.fcidump_text import flag, namelist_fields, split, table, whole
from hamiltonians.integrals import MolecularIntegrals
from hamiltonians.irreps import clean_forbidden, determinant_irrep, fcidump_irreps, irrep_codes
from hamiltonians.molecule.determinant import determinant_energy, lowest_determinant
from hamiltonians.molecule.references import with_references
from hamiltonians.molecule.spec import FCI_LIMIT, require_references
from hamiltonians.molecule.system import Molecule, SystemInfo
from hamiltonians.packing import number_of_pairs
from hamiltonians.problem import load_problem
from hamiltonians.storage import SUFFIXES, write_text

_MOST_ORBITALS = 400
_FORBIDDEN = 1e-6  # Hartree; larger integrals than this contradict ORBSYM
_SAME = 1e-7  # Hartree; two values of one integral may differ by this, relative to the larger

_Rows = tuple[np.ndarray, np.ndarray]
"""Orbital indices from 0, (n, 4) or (n, 2) int, and values (n,)."""


@dataclass(frozen=True)
class FileSpec:
    """Integrals from a file."""

    file: str
    """FCIDUMP file, or a system saved as .npz or .h5 (such as system.npz of another run)."""
    references: bool = True
    """Compute HF, MP2, CCSD, CCSD(T) and FCI, where affordable (saved systems keep theirs)."""
    fci_limit: int = FCI_LIMIT
    """Largest number of determinants for which FCI is computed."""

    def build(self, *, references: bool = True) -> Molecule:
        """Read the file; without `references` nothing is computed, whatever the field says.

        Raises:
            InputError: There is no such file, or its content makes no sense.
        """
        path = Path(self.file).expanduser()
        require_references(self)
        if path.suffix.casefold() in SUFFIXES:
            if not self.references or self.fci_limit != FCI_LIMIT:
                given = "fci_limit" if self.references else "references"
                raise InputError(f"a saved system keeps its reference energies: leave out {given}")
            return load_problem(path, Molecule)
        return read_fcidump(path, references=self.references and references, fci_limit=self.fci_limit)


_Blocks = tuple[tuple[_Rows, ...], tuple[_Rows, ...], float | None]
"""Integrals as listed, one block each or [alpha, beta] and [aa, ab, bb], and the core energy."""


@dataclass(frozen=True)
class _Listed:
    """A file: values of the namelist &FCI, and integrals."""

    n_orbitals: int
    n_alpha: int
    n_beta: int
    irreps: tuple[str, ...] | None
    """ORBSYM, one number an orbital as text, or None where it says nothing."""
    total_irrep: int
    """ISYM - 1: the irrep code of the wave function."""
    warnings: tuple[str, ...]
    blocks: _Blocks


def read_fcidump(path: str | Path, *, references: bool = True, fci_limit: int = FCI_LIMIT) -> Molecule:
    """Read a FCIDUMP file.

    Restricted files and unrestricted ones (IUHF=1 or .TRUE. with blocks aa, bb, ab, h_a, h_b; or UHF=.TRUE.
    with interleaved spin orbitals) are understood, with or without ORBSYM, MS2, ISYM, commas, comments
    behind ! or #, orbital energies, Fortran exponents and (re,0.0) for real numbers. ORBSYM is kept if the
    integrals obey it. The reference determinant is the lowest that single and double excitations within its
    irrep lead to from the first orbitals of the file.

    Args:
        path: The file.
        references: Whether to compute MP2, CCSD, CCSD(T) and FCI (where PySCF is installed).
        fci_limit: Largest number of determinants FCI is run for.

    Raises:
        InputError: The file cannot be read, is truncated, complex, too large or contradicts itself.
    """
    source = Path(path)
    try:
        if source.exists() and not source.is_file():
            raise InputError(f"cannot read {source}: not a file; give a FCIDUMP file")
        text = source.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise InputError(f"cannot read {source}: {reason_of(error)}; give a FCIDUMP file") from error
    try:
        integrals, warnings = _assemble(_parsed(text))
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    except MemoryError as error:
        raise InputError(f"{source}: its integrals do not fit into memory: give fewer orbitals") from error
    info = SystemInfo(
        name=source.stem,
        two_S=integrals.two_S,
        reference_method="fcidump",
        orbitals="as in the file",
        source=str(path),
        warnings=tuple(warnings),
    )
    system = Molecule(integrals, info, {"hf": determinant_energy(integrals)})
    return with_references(system, fci_limit=fci_limit) if references else system


def write_fcidump(integrals: MolecularIntegrals, path: str | Path) -> Path:
    """Write a FCIDUMP file with every unique integral that is not zero, to the last bit; return its path.

    Spin-resolved integrals are written with IUHF=1: blocks aa, bb, ab, h_a, h_b. ORBSYM and ISYM
    follow Molpro's numbering.

    Raises:
        InputError: The file cannot be written.
    """
    size = integrals.n_orbitals
    numbers = fcidump_irreps(integrals.orbital_irreps, integrals.point_group, size)
    total = determinant_irrep(*integrals.reference_occupation, numbers - 1) + 1
    lines = [
        f" &FCI NORB={size},NELEC={integrals.n_electrons},MS2={integrals.two_S},",
        "  ORBSYM=" + "".join(f"{number}," for number in numbers),
        f"  ISYM={total},",
    ]
    if integrals.is_spin_resolved:
        lines.append("  IUHF=1,")
    lines.append(" &END")
    separator = " 0.0 0 0 0 0"
    if integrals.is_spin_resolved:
        aa, ab, bb = integrals.two_body
        for block, symmetric in ((aa, True), (bb, True), (ab, False)):
            lines += [*_two_body_lines(block, size, symmetric), separator]
        for block in integrals.one_body:
            lines += [*_one_body_lines(block), separator]
    else:
        lines += _two_body_lines(integrals.two_body, size, symmetric=True)
        lines += _one_body_lines(integrals.one_body)
    lines.append(f" {integrals.constant!r} 0 0 0 0")
    return write_text(Path(path), "\n".join(lines) + "\n")


def _two_body_lines(block: np.ndarray, size: int, symmetric: bool) -> list[str]:
    first, second = np.tril_indices(size)
    left, right = np.nonzero(np.tril(block) if symmetric else block)
    values = block[left, right].tolist()
    labels = [f"{p + 1} {q + 1}" for p, q in zip(first.tolist(), second.tolist(), strict=True)]
    return [
        f" {value!r} {labels[bra]} {labels[ket]}"
        for value, bra, ket in zip(values, left.tolist(), right.tolist(), strict=True)
    ]


def _one_body_lines(block: np.ndarray) -> list[str]:
    rows, columns = np.nonzero(np.tril(block))
    # A file without one-body part would look truncated: keep one element in any case.
    if not rows.size:
        rows, columns = np.array([0]), np.array([0])
    return [
        f" {float(block[p, q])!r} {p + 1} {q + 1} 0 0"
        for p, q in zip(rows.tolist(), columns.tolist(), strict=True)
    ]


def _assemble(listed: _Listed) -> tuple[MolecularIntegrals, list[str]]:
    warnings = []
    size = listed.n_orbitals
    h_blocks, v_blocks, constant = listed.blocks
    if constant is None:
        warnings.append("the file states no constant energy (line 'E 0 0 0 0'): taken as zero")
    one_body = [_one_body(block, size) for block in h_blocks]
    two_body = [_two_body(block, size, symmetric=index != 1) for index, block in enumerate(v_blocks)]
    h, v = (one_body[0], two_body[0]) if len(one_body) == 1 else (np.stack(one_body), np.stack(two_body))
    irreps = listed.irreps
    if irreps is not None and not clean_forbidden(h, v, irrep_codes(irreps, None, size), _FORBIDDEN):
        irreps = None
        warnings.append("ORBSYM is not a symmetry of these integrals: it was ignored")
    warnings += listed.warnings
    plain = MolecularIntegrals(constant or 0.0, h, v, listed.n_alpha, listed.n_beta, irreps, None)
    # ISYM=1 is what programs write that do not know; any other value is meant.
    target = listed.total_irrep if irreps is not None and listed.total_irrep > 0 else None
    occupation = lowest_determinant(plain, plain.reference_occupation, target)
    return replace(plain, reference_occupation=occupation), warnings


def _one_body(rows: _Rows, size: int) -> np.ndarray:
    indices = rows[0][:, :2]
    return _filled(size, indices.max(axis=1), indices.min(axis=1), rows, symmetric=True)


def _two_body(rows: _Rows, size: int, symmetric: bool) -> np.ndarray:
    larger = rows[0].reshape(-1, 2, 2).max(axis=2)
    left, right = (larger * (larger + 1) // 2 + rows[0].reshape(-1, 2, 2).min(axis=2)).T
    if symmetric:
        left, right = np.maximum(left, right), np.minimum(left, right)
    return _filled(number_of_pairs(size), left, right, rows, symmetric)


def _filled(size: int, left: np.ndarray, right: np.ndarray, rows: _Rows, symmetric: bool) -> np.ndarray:
    """Return the matrix of listed elements, after comparing those that are listed twice."""
    indices, values = rows
    matrix = np.zeros((size, size))
    matrix[left, right] = values
    kept = matrix[left, right]
    wrong = np.abs(kept - values) > _SAME * np.maximum(1.0, np.abs(values))
    if wrong.any():
        at = int(np.argmax(wrong))
        names = " ".join(str(index + 1) for index in indices[at])
        raise InputError(
            f"integral {names} is given twice, as {values[at]:.10g} and {kept[at]:.10g}: integrals of "
            "real orbitals have (ij|kl) = (ji|kl) = (kl|ij), complex ones are not supported"
        )
    if symmetric:
        matrix[right, left] = values
    return matrix


def _parsed(text: str) -> _Listed:
    """Return what the text of a file lists."""
    namelist, body, first_line = split(text)
    fields = namelist_fields(namelist)
    indices, values = table(body, first_line)
    n_orbitals = whole(fields, "NORB")
    if n_orbitals is None:
        raise InputError("the header lacks NORB: give the number of orbitals")
    if not 1 <= n_orbitals <= _MOST_ORBITALS:
        raise InputError(f"NORB = {n_orbitals}: give 1 to {_MOST_ORBITALS}")
    unrestricted = bool(flag(fields, "IUHF") or flag(fields, "UHF") or flag(fields, "RESTRICTED") is False)
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
        blocks = _interleaved_rows(indices, values, zero_rows)
    elif unrestricted:
        blocks = _block_rows(indices, values, zero_rows)
    else:
        one, two = _classify(indices, values)
        blocks = ((one,), (two,), _constant(values[zero_rows]))
    if any(not block[1].size for block in blocks[0]):
        raise InputError("the file has no one-body integrals (i j 0 0): it is truncated")
    return _listed(fields, n_orbitals, listed, blocks)


def _listed(fields: dict[str, list[str]], size: int, listed: int, blocks: _Blocks) -> _Listed:
    electrons = whole(fields, "NELEC")
    if electrons is None:
        raise InputError("the header lacks NELEC: give the number of electrons")
    if not 0 <= electrons <= 2 * size:
        raise InputError(f"NELEC = {electrons} does not fit into {size} orbitals: give 0 to {2 * size}")
    two_s = whole(fields, "MS2")
    two_s = electrons % 2 if two_s is None else two_s
    if len(blocks[0]) == 1:
        two_s = abs(two_s)  # with one set of orbitals either spin may be the larger
    if (electrons - two_s) % 2 or abs(two_s) > min(electrons, 2 * size - electrons):
        raise InputError(
            f"MS2 = {two_s} does not fit {electrons} electrons in {size} orbitals: give 2S of equal parity"
        )
    irreps, warnings = _orbital_irreps(fields.get("ORBSYM"), size, listed)
    total = whole(fields, "ISYM") or 1
    return _Listed(
        size,
        (electrons + two_s) // 2,
        (electrons - two_s) // 2,
        irreps,
        total - 1 if 1 <= total <= 8 else 0,
        warnings,
        blocks,
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


def _classify(indices: np.ndarray, values: np.ndarray) -> tuple[_Rows, _Rows]:
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


def _block_rows(indices: np.ndarray, values: np.ndarray, zero_rows: np.ndarray) -> _Blocks:
    """Blocks aa, bb, ab, h_a, h_b, each closed by a line of zeros; then the constant."""
    spans = zip([0, *(zero_rows[:4] + 1)], zero_rows[:5], strict=True)
    blocks = [_classify(indices[start:stop], values[start:stop]) for start, stop in spans]
    if any(one[1].size for one, _ in blocks[:3]) or any(two[1].size for _, two in blocks[3:]):
        raise InputError("IUHF=1 blocks are out of order: give aa, bb, ab, h_a, h_b")
    (_, aa), (_, bb), (_, ab), (h_alpha, _), (h_beta, _) = blocks
    # With a line of zeros missing after h_b, the fifth such line is the constant itself.
    constants = values[zero_rows[5:]] if zero_rows.size > 5 else values[zero_rows[4:]]
    return ((h_alpha, h_beta), (aa, ab, bb), _constant(constants))


def _interleaved_rows(indices: np.ndarray, values: np.ndarray, zero_rows: np.ndarray) -> _Blocks:
    """Spin orbitals 1, 3, 5, ... are alpha and 2, 4, 6, ... are beta."""
    (one, h), (two, v) = _classify(indices, values)
    for pair, numbers in ((one[:, :2], h), (two[:, :2], v), (two[:, 2:], v)):
        if np.any((pair[:, 0] % 2 != pair[:, 1] % 2) & (np.abs(numbers) > 1e-12)):
            raise InputError("an integral mixes alpha and beta orbitals: the spin is not conserved")
    one_body, two_body = [], []
    for spin in (0, 1):
        chosen = (one[:, :2] % 2 == spin).all(axis=1)
        one_body.append((one[chosen] // 2, h[chosen]))
    left, _, right, _ = (two % 2).T
    conserving = (two[:, 0] % 2 == two[:, 1] % 2) & (two[:, 2] % 2 == two[:, 3] % 2)
    # (pq beta|rs alpha) belongs to the block ab as (rs|pq).
    ordered = np.where((left > right)[:, None], two[:, [2, 3, 0, 1]], two) // 2
    for n_beta in range(3):
        chosen = conserving & (left + right == n_beta)
        two_body.append((ordered[chosen], v[chosen]))
    return (tuple(one_body), tuple(two_body), _constant(values[zero_rows]))

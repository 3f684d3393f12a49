"""FCIDUMP files, the lingua franca of integrals: read every common variant, write the plain one.

Format: Knowles and Handy, Comput. Phys. Commun. 54, 75 (1989).
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from hamiltonians.errors import InputError
from hamiltonians.formats.fcidump_text import FcidumpHeader, IntegralRows, parse_fcidump
from hamiltonians.integrals import MolecularIntegrals
from hamiltonians.irreps import clean_forbidden, fcidump_irreps, irrep_codes, largest_forbidden
from hamiltonians.molecule.determinant import determinant_energy, lowest_determinant
from hamiltonians.molecule.system import Molecule, SystemInfo
from hamiltonians.packing import number_of_pairs
from hamiltonians.storage import write_text

_FORBIDDEN = 1e-6  # Hartree; larger integrals than this contradict ORBSYM
_SAME = 1e-7  # Hartree; two values of one integral may differ by this, relative to the larger


def read_fcidump(path: str | Path, *, references: bool = True, fci_limit: int = 5_000_000) -> Molecule:
    """Read a FCIDUMP file.

    Restricted files and unrestricted ones (IUHF=1 with blocks aa, bb, ab, h_a, h_b; or UHF=.TRUE.
    with interleaved spin orbitals) are understood, with or without ORBSYM, MS2, ISYM, commas, orbital
    energies and Fortran exponents. ORBSYM is kept if the integrals obey it. The reference
    determinant is the lowest that single and double excitations within its irrep lead to from the
    first orbitals of the file.

    Args:
        path: The file.
        references: Whether to compute MP2, CCSD, CCSD(T) and FCI (where PySCF is installed).
        fci_limit: Largest number of determinants FCI is run for.

    Raises:
        InputError: The file cannot be read, is truncated, complex or contradicts itself.
    """
    source = Path(path)
    try:
        text = source.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise InputError(f"cannot read {source}: {error.strerror}; give a FCIDUMP file") from error
    try:
        header, rows = parse_fcidump(text)
        integrals, warnings = _assemble(header, rows)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    info = SystemInfo(
        name=source.stem,
        two_S=integrals.two_S,
        reference_method="fcidump",
        orbitals="as in the file",
        source=str(path),
        warnings=tuple(warnings),
    )
    system = Molecule(integrals, info, {"hf": determinant_energy(integrals)})
    if not references:
        return system
    from hamiltonians.molecule.references import with_references

    return with_references(system, fci_limit=fci_limit)


def write_fcidump(integrals: MolecularIntegrals, path: str | Path) -> Path:
    """Write a FCIDUMP file with every unique integral that is not zero, to the last bit.

    Spin-resolved integrals are written with IUHF=1: blocks aa, bb, ab, h_a, h_b. ORBSYM and ISYM
    follow Molpro's numbering.

    Returns:
        The path written.

    Raises:
        InputError: The file cannot be written.
    """
    size = integrals.n_orbitals
    numbers = fcidump_irreps(integrals.orbital_irreps, integrals.point_group, size)
    occupied = [*integrals.reference_occupation[0], *integrals.reference_occupation[1]]
    total = int(np.bitwise_xor.reduce((numbers - 1)[occupied], initial=0)) + 1
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


def _assemble(header: FcidumpHeader, rows: IntegralRows) -> tuple[MolecularIntegrals, list[str]]:
    warnings = []
    size = header.n_orbitals
    if rows.constant is None:
        warnings.append("the file states no constant energy (line 'E 0 0 0 0'): taken as zero")
    one_body = [_one_body(block, size) for block in rows.one_body]
    two_body = [_two_body(block, size, symmetric=index != 1) for index, block in enumerate(rows.two_body)]
    h, v = (one_body[0], two_body[0]) if len(one_body) == 1 else (np.stack(one_body), np.stack(two_body))
    irreps = header.irreps
    if irreps is not None:
        codes = irrep_codes(irreps, None, size)
        if max(largest_forbidden(h, v, codes)) > _FORBIDDEN:
            irreps = None
            warnings.append("ORBSYM is not a symmetry of these integrals: it was ignored")
        else:
            clean_forbidden(h, v, codes)
    warnings += header.warnings
    plain = MolecularIntegrals(rows.constant or 0.0, h, v, header.n_alpha, header.n_beta, irreps, None)
    # ISYM=1 is what programs write that do not know; any other value is meant.
    target = header.total_irrep if irreps is not None and header.total_irrep > 0 else None
    occupation = lowest_determinant(plain, plain.reference_occupation, target)
    return replace(plain, reference_occupation=occupation), warnings


def _one_body(rows: tuple[np.ndarray, np.ndarray], size: int) -> np.ndarray:
    indices, values = rows
    matrix = np.zeros((size, size))
    first, second = indices[:, :2].max(axis=1), indices[:, :2].min(axis=1)
    matrix[first, second] = values
    _check_repeats(matrix[first, second], values, indices)
    matrix[second, first] = values
    return matrix


def _two_body(rows: tuple[np.ndarray, np.ndarray], size: int, symmetric: bool) -> np.ndarray:
    indices, values = rows
    pairs = []
    for start in (0, 2):
        first = indices[:, start : start + 2].max(axis=1)
        second = indices[:, start : start + 2].min(axis=1)
        pairs.append(first * (first + 1) // 2 + second)
    left, right = pairs
    if symmetric:
        left, right = np.maximum(left, right), np.minimum(left, right)
    matrix = np.zeros((number_of_pairs(size),) * 2)
    matrix[left, right] = values
    _check_repeats(matrix[left, right], values, indices)
    if symmetric:
        matrix[right, left] = values
    return matrix


def _check_repeats(kept: np.ndarray, given: np.ndarray, indices: np.ndarray) -> None:
    """Every entry is compared with the one that was kept for its integral."""
    wrong = np.abs(kept - given) > _SAME * np.maximum(1.0, np.abs(given))
    if wrong.any():
        at = int(np.argmax(wrong))
        names = " ".join(str(index + 1) for index in indices[at])
        raise InputError(
            f"integral {names} is given twice, as {given[at]:.10g} and {kept[at]:.10g}: integrals of "
            "real orbitals have (ij|kl) = (ji|kl) = (kl|ij), complex ones are not supported"
        )

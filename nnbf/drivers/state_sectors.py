"""States of a molecule that are sought: charges, total spins and irreps, by the words of the options."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from hamiltonians import InputError, Molecule, irrep_bits
from hamiltonians.irreps import irrep_codes, irrep_name
from hamiltonians.term_symbols import abelian_parts, irrep_names, spatial_irrep
from nnbf.drivers.options import SolverOptions
from nnbf.drivers.several_states import Wanted
from nnbf.drivers.state_blocks import Eigenstate

#: Words of the options irreps and charges.
_IRREP, _CHARGE = re.compile(r"(\d*)(\D\S*)"), re.compile(r"[+-]?\d+")


@dataclass(frozen=True, eq=False)
class StateSector:
    """States of one charge, and of one spin and irrep where these are asked for."""

    system: Molecule
    """The molecule with as many electrons, in the orbitals of the run."""
    change: int
    """Charge less that of the run: 1 for ionised states."""
    wanted: Wanted
    """Spin, irreps and number of states."""


def state_sectors(system: Molecule, options: SolverOptions) -> list[StateSector]:
    """Return what the options ask for: one sector where they name no spin, irrep or charge.

    Raises:
        InputError: A word is no charge, spin or irrep of the molecule.
    """
    ions = options.charges.strip().casefold() == "ions"
    charges = [0, 1, -1] if ions else [_charge(word, system) for word in options.charges.split()] or [0]
    spins = [_spin(word) for word in options.spins.split()]
    found = []
    for change in dict.fromkeys(charges):
        electrons = system.integrals.n_electrons - change
        if not 0 <= electrons <= 2 * system.integrals.n_orbitals:
            raise InputError(f"charges {options.charges}: {electrons} electrons do not fit into the orbitals")
        fitting = [spin for spin in spins if round(2 * spin) % 2 == electrons % 2]
        if spins and not fitting:
            raise InputError(f"spins {options.spins}: none of them is one of {electrons} electrons")
        least = _least(system, change)
        if options.irreps.strip().casefold() == "all" and not spins:
            fitting = [least, least + 1.0]
        for irrep, of_word in _irreps(system, options.irreps):
            asked: list[float | None] = [of_word] if of_word is not None else [*fitting] or [None]
            for spin in asked:
                if spin is not None and (round(2 * spin) % 2 != electrons % 2 or 2 * spin > electrons):
                    raise InputError(f"there are no states of spin {spin:g} with {electrons} electrons")
                found.append(_sector(system, change, spin, irrep, options.states, least))
    return found


def _sector(system, change, spin, irrep, count, least) -> StateSector:
    integrals = system.integrals
    electrons = integrals.n_electrons - change
    # Of spins above the lowest but one those below are left out by the projection, else by the parity.
    projection = least if spin is None or (least == 0.0 and spin <= 1.0) else spin
    if change or projection != 0.5 * integrals.two_S:
        n_alpha = (electrons + round(2 * projection)) // 2
        if n_alpha > integrals.n_orbitals or electrons - n_alpha < 0:
            raise InputError(f"there are no states of spin {projection:g} with {electrons} electrons")
        particles = {"n_alpha": n_alpha, "n_beta": electrons - n_alpha}
        integrals = replace(integrals, reference_occupation=None, **particles)
        system = replace(system, integrals=integrals, references={})
    codes = None if irrep is None else _codes(system, irrep)
    accepts = None if irrep is None else _Named(irrep, system.info.point_group, integrals.point_group)
    return StateSector(system, change, Wanted(count, spin, codes, accepts))


@dataclass(frozen=True)
class _Named:
    """True of states of one irrep of the full group, or of the Abelian one."""

    irrep: str
    full: str
    abelian: str | None

    def __call__(self, state: Eigenstate) -> bool:
        names = [irrep_name(code, self.abelian) for code in state.partners]
        own = irrep_name(state.block.code, self.abelian)
        return self.irrep in (spatial_irrep(names, self.full, self.abelian), own)


def _codes(system: Molecule, irrep: str) -> frozenset[int] | None:
    """Abelian irreps to be diagonalised, so that no level of the irrep is taken for another."""
    names, full = _abelian(system), system.info.point_group
    parts = set(abelian_parts(irrep, full, names))
    related = set(parts)
    for other in irrep_names(full, names):
        mine = set(abelian_parts(other, full, names))
        related |= mine if mine & parts else set()
    group = system.integrals.point_group
    return frozenset(int(irrep_codes([name], group, 1)[0]) for name in related)


def _abelian(system: Molecule) -> list[str]:
    """Irreps of the Abelian group that determinants can have."""
    integrals = system.integrals
    if integrals.orbital_irreps is None:
        return []
    codes = {0, *irrep_bits(integrals).tolist()}
    while len(more := {a ^ b for a in codes for b in codes}) > len(codes):
        codes = more
    return [irrep_name(code, integrals.point_group) for code in sorted(codes)]


def _irreps(system: Molecule, words: str) -> Iterator[tuple[str | None, float | None]]:
    """Irreps by name, with the spins that their words name, too."""
    names = _abelian(system)
    known = irrep_names(system.info.point_group, names)
    if words.strip().casefold() == "all":
        full = [name for name in known if name not in names or not system.info.point_group]
        complete = {part for name in full for part in abelian_parts(name, system.info.point_group, names)}
        yield from ((name, None) for name in full if abelian_parts(name, system.info.point_group, names))
        yield from ((name, None) for name in names if name not in complete)
        return
    if not words.split():
        yield None, None
    for word in words.split():
        match = _IRREP.fullmatch(word)
        name = match.group(2) if match else word
        if not abelian_parts(name, system.info.point_group, names):
            choice = ", ".join(known[:12]) or "none, as its irreps are unknown"
            group = system.info.point_group or system.integrals.point_group or "the group"
            raise InputError(f"irreps: {word[:20]!r} is no irrep of {group}: give {choice}")
        multiplicity = int(match.group(1)) if match and match.group(1) else None
        if multiplicity == 0:
            raise InputError(f"irreps: {word[:20]!r} has multiplicity 0: give 1{name}, 2{name}, 3{name} ...")
        yield name, None if multiplicity is None else 0.5 * (multiplicity - 1)


def _least(system: Molecule, change: int) -> float:
    """Spin projection that states are looked for with, where none is asked for."""
    two_s = abs(system.integrals.two_S)
    return 0.5 * (two_s if not change else (two_s + change) % 2)


def _charge(word: str, system: Molecule) -> int:
    if not _CHARGE.fullmatch(word) or abs(int(word)) > 20:
        raise InputError(f'charges: {word[:20]!r} is no charge: give whole numbers, such as "0 1 -1"')
    return int(word) - system.info.charge


def _spin(word: str) -> float:
    try:
        spin = float(word)
    except ValueError:
        spin = -1.0
    if not (0.0 <= spin <= 50.0 and (2 * spin).is_integer()):
        raise InputError(f'spins: {word[:20]!r} is no total spin: give S, such as "0 1" or "0.5"')
    return spin

"""Sectors of a molecular Hamiltonian that it does not leave, named or hidden, and the lowest of them.

The reference determinant decides the sector that is solved. Small spaces are diagonalised whole; of larger
ones the parities that all integrals conserve tell sectors apart, and a few hundred determinants of each are.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from math import comb
from typing import Any

import numpy as np
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackError

from hamiltonians import MolecularIntegrals, Molecule, irrep_bits
from hamiltonians.integrals import Occupation
from hamiltonians.irreps import determinant_irrep, irrep_name
from hamiltonians.molecule.determinant import determinant_energy, lowest_determinant
from hamiltonians.molecule.references import reference_energies
from nnbf.ansatz import contract
from nnbf.determinants import (
    build_tables,
    connected_space,
    determinant_from_orbitals,
    determinant_irreps,
    diagonal_elements,
    enumerate_sector,
    hamiltonian_matrix,
    max_connections,
    multiplicities,
    sector_dimension,
    spin_flip_representatives,
    symmetrised,
    unpack_occupations,
)
from nnbf.drivers.level import Level
from nnbf.drivers.options import SolverOptions
from nnbf.drivers.selected_space import make_model
from nnbf.states.estimates import energy_gaps
from nnbf.states.selected_ci import lowest_eigenpairs

#: Most determinants of spaces that are diagonalised whole.
LISTED = 6000
#: Elements (Hartree) below which determinants, or integrals, do not connect.
_NOTHING = 1e-6
#: Hartree by which a sector has to be lower: of spaces diagonalised whole, and where that is an estimate.
_LOWER, _LOWER_ESTIMATE = 5e-4, 5e-3
#: Sizes of the selected spaces of a sector, and Hartree above the lowest up to which it is grown further.
_STAGES = ((16, 0.5), (64, 0.2), (128, 0.1), (256, 0.0))
#: Most symmetry bits that are looked into; connections of a selected space that it does not grow beyond.
_BITS, _MOST_CONNECTIONS = 3, 1_000_000
#: Size up to which matrices are diagonalised densely.
_DENSE = 500
#: Orbitals up to which hidden parities are looked for (above, irreps alone), and double excitations of a
#: determinant up to which other sectors are looked into.
_MOST_ORBITALS, _MOST_DOUBLES = 64, 1_000_000


@dataclass(frozen=True)
class Found:
    """Lowest state of a sector."""

    energy: float
    """Hartree; an upper bound."""
    occupation: Occupation
    """Occupied (alpha, beta) orbitals of its largest determinant."""


@dataclass(frozen=True)
class Look:
    """Lowest states by what has to change to get there."""

    here: Found
    """With the reference determinant as it is."""
    irrep: Found
    """Among all determinants of the same named irrep."""
    anywhere: Found
    """Among all determinants with as many electrons of each spin."""
    odd: Found | None
    """The same, of odd total spin; None where that is not apart, or not known."""
    is_exact: bool
    """Whether spaces were diagonalised whole."""

    @property
    def margin(self) -> float:
        """Hartree by which another sector has to be lower to count."""
        return _LOWER if self.is_exact else _LOWER_ESTIMATE


@lru_cache(maxsize=1)
def look(integrals: MolecularIntegrals, fold: bool) -> Look:
    """Look for the lowest state, and for that of the reference determinant's sector.

    Args:
        integrals: The Hamiltonian.
        fold: Whether states are even under spin flip.
    """
    size = sector_dimension(integrals.n_orbitals, integrals.n_alpha, integrals.n_beta)
    return _whole(integrals, fold) if size <= LISTED else _selected(integrals, fold)


def in_lowest_sector(system: Molecule, options: SolverOptions, model: Any = None) -> Molecule:
    """The system with its reference determinant in the lowest hidden sector of its irrep, and a line on it.

    Args:
        system: What is to be solved.
        options: How: states of one total spin are looked for where they were asked to be.
        model: Network instead of that of the options.
    """
    if _chooses_spin(options):
        return system
    integrals = system.integrals
    seen = look(integrals, _folds(system, options, model))
    if not seen.irrep.energy < seen.here.energy - seen.margin:
        return system
    moved = replace(integrals, reference_occupation=seen.irrep.occupation)
    line = (
        f"a hidden symmetry parts determinant {_name(integrals, integrals.reference_occupation)} from the "
        f"ground state (lowest in its sector: {_at(seen, seen.here)}): the sector of "
        f"{_name(integrals, moved.reference_occupation)} was solved ({_at(seen, seen.irrep)})"
    )
    info = replace(system.info, warnings=(*system.info.warnings, line))
    return _with_references(replace(system, integrals=moved, info=info))


def _with_references(system: Molecule) -> Molecule:
    """The system with references that start from its reference determinant; FCI is that of its irrep."""
    if system.info.reference_method != "fcidump":
        return system
    energies: dict[str, float | None] = {"hf": determinant_energy(system.integrals)}
    notes: dict[str, str] = {}
    if system.references["mp2"] is not None:
        energies, notes = reference_energies(system.integrals, fci_limit=0)
    kept = {"fci"} | ({"mp2", "ccsd", "ccsd_t"} - set(energies))
    energies |= {name: system.references[name] for name in kept}
    notes |= {name: text for name, text in system.reference_notes.items() if name in kept}
    return replace(system, references=energies, reference_notes=notes)


def with_sector_warnings(level: Level, options: SolverOptions) -> Level:
    """A molecule's level with lines about lower states that it is not."""
    if _chooses_spin(options) or level.number or level.problem is None:
        return level
    lines = _about_lower(level, _folds(level.problem, options, level.model))
    return replace(level, warnings=(*level.warnings, *lines))


def _chooses_spin(options: SolverOptions) -> bool:
    return options.total_spin is not None or options.spin_penalty > 0.0


def _folds(system: Molecule, options: SolverOptions, model: Any) -> bool:
    model = make_model(system, options) if model is None else model
    return contract.spin_flip_parity(model) == 1


def _lowest_on_its_space(level: Level) -> bool:
    """Whether the space is what keeps an energy up: the state is the lowest on it."""
    beside = level.estimates.get("selected_ci")
    return beside is not None and float(level.energy.value) - float(beside.value) < _LOWER


def _about_lower(level: Level, fold: bool) -> list[str]:
    """Lines about states that lie below a level, or are likely to."""
    integrals = level.problem.integrals
    seen = look(integrals, fold)
    below = float(level.energy.value) - 3.0 * float(level.energy.error) - _LOWER
    lower = seen.anywhere.energy
    here = f"the sector of determinant {_name(integrals, integrals.reference_occupation)} was solved"
    there = f"that of {_name(integrals, seen.anywhere.occupation)}"
    # With a geometry the multiplicity was asked for, or is spoken of where it is assumed.
    is_file = not level.problem.info.atoms
    advice = "leave out ORBSYM, or give its ISYM" if is_file else "give symmetry false"
    lines = []
    if lower < seen.here.energy - seen.margin:
        if seen.is_exact or lower < below:
            lines.append(f"{here}; {there} has a lower state ({_at(seen, seen.anywhere)}): {advice}")
        else:
            lines.append(
                f"{here}; {there} may have a lower state (some hundred determinants each: "
                f"{lower:.3f} against {seen.here.energy:.3f}): {advice}"
            )
    elif lower < below and level.status == "converged" and not _lowest_on_its_space(level):
        lines.append(
            f"{here}; the energy lies {1e3 * (float(level.energy.value) - lower):.3g} mHa above its lowest "
            f"state ({_at(seen, seen.anywhere)}): give another seed"
        )
    if is_file and seen.odd is not None and seen.odd.energy < min(below, lower - _LOWER):
        lines.append(
            "states of even total spin were solved; one of odd total spin, such as a triplet, lies lower "
            f"({_at(seen, seen.odd)}): give 2S = 2, or spin_flip none"
        )
    return lines


def _at(seen: Look, found: Found) -> str:
    return f"{found.energy:.6f}" if seen.is_exact else f"about {found.energy:.3f}"


def _name(integrals: MolecularIntegrals, occupation: Occupation) -> str:
    """A determinant as 2ud0..., cut behind the last occupied orbital, with its irrep."""
    signs = np.zeros(integrals.n_orbitals, dtype=int)
    for spin, orbitals in enumerate(occupation):
        signs[list(orbitals)] += spin + 1
    text = "".join("0ud2"[sign] for sign in signs)
    text = text if len(text) <= 40 else text.rstrip("0")[-40:]
    if integrals.orbital_irreps is None:
        return text
    irrep = determinant_irrep(*occupation, irrep_bits(integrals))
    return f"{text} ({irrep_name(irrep, integrals.point_group)})"


# ---- small spaces: all determinants ----------------------------------------------------------------


def _whole(integrals: MolecularIntegrals, fold: bool) -> Look:
    """Everything diagonalised, each set of connected determinants by itself."""
    tables, size = build_tables(integrals), integrals.n_orbitals
    determinants = enumerate_sector(size, integrals.n_alpha, integrals.n_beta, fold=fold)
    weight = multiplicities(determinants, fold)
    matrix = symmetrised(hamiltonian_matrix(tables, determinants, fold), weight).tocsr()
    parts = connected_components(abs(matrix) > _NOTHING, directed=False)[1]
    found = []
    for rows in np.split(np.argsort(parts, kind="stable"), np.cumsum(np.bincount(parts))[:-1]):
        energy, vector = _lowest(matrix[rows][:, rows] if len(rows) < len(parts) else matrix)
        found.append(Found(energy, _occupation(determinants[rows[np.argmax(np.abs(vector))]], size)))
    reference = determinant_from_orbitals(*integrals.reference_occupation, size)
    reference = spin_flip_representatives(reference) if fold else reference
    start = int(np.flatnonzero((determinants == reference).all(axis=1))[0])
    irreps = determinant_irreps(determinants, irrep_bits(integrals))
    here, odd = found[parts[start]], None
    if fold and len(pairs := np.flatnonzero(weight == 2)):
        # Of determinants D with flips D': H is H_ij + H_ij' between D + D' and its like, H_ij - H_ij'
        # between D - D' and its like.
        plain = hamiltonian_matrix(tables, determinants[pairs])
        energy, vector = _lowest((2.0 * plain - matrix[pairs][:, pairs]).tocsr())
        odd = Found(energy, _occupation(determinants[pairs[np.argmax(np.abs(vector))]], size))
    same_irrep = [found[part] for part in np.unique(parts[irreps == irreps[start]])]
    return Look(here, _least([here, *same_irrep]), _least([here, *found]), odd, True)


def _least(found: Iterable[Found]) -> Found:
    return min(found, key=lambda one: one.energy)


def _lowest(matrix: Any) -> tuple[float, np.ndarray]:
    """Lowest eigenvalue of a symmetric sparse matrix, and its vector."""
    try:
        values, vectors = lowest_eigenpairs(matrix)
        return float(values[0]), vectors[:, 0]
    except ArpackError:
        n = matrix.shape[0]
    if n > 4 * _DENSE:
        # Not found: the lowest element of the diagonal is a bound.
        place = int(np.argmin(matrix.diagonal()))
        return float(matrix.diagonal()[place]), np.eye(1, n, place)[0]
    values, vectors = np.linalg.eigh(matrix.toarray())
    return float(values[0]), vectors[:, 0]


# ---- large spaces: selected determinants of each combination of parities ---------------------------


def _selected(integrals: MolecularIntegrals, fold: bool) -> Look:
    """The lowest determinants of each combination of parities, and a selected space from each."""
    reference, codes = integrals.reference_occupation, conserved_parities(integrals)
    here = Found(np.inf, reference)
    others = _other_starts(integrals, codes) if codes.any() else []
    if not others:
        return Look(here, here, here, None, False)
    found = _selected_energies(integrals, [reference, *others], fold)
    named, fragments = irrep_bits(integrals), _fragments(integrals)

    def label(occupation: Occupation) -> tuple:
        counts = [np.bincount(fragments[list(one)], minlength=len(codes)).tolist() for one in occupation]
        return determinant_irrep(*occupation, codes), counts

    # Connected with the reference determinant: the driver grows from one to the other by itself.
    connected = [one for one in found if label(one.occupation) == label(reference)]
    here = Found(_least(connected).energy, reference)
    irrep = determinant_irrep(*reference, named)
    apart = [one for one in found if one not in connected]
    same_irrep = [one for one in apart if determinant_irrep(*one.occupation, named) == irrep]
    return Look(here, _least([here, *same_irrep]), _least([here, *apart]), None, False)


def _other_starts(integrals: MolecularIntegrals, codes: np.ndarray) -> list[Occupation]:
    """Low determinants of every combination of parities, the reference determinant left out."""
    size, numbers = integrals.n_orbitals, (integrals.n_alpha, integrals.n_beta)
    if comb(sum(numbers), 2) * comb(2 * size - sum(numbers), 2) > _MOST_DOUBLES:
        return []
    labelled = replace(integrals, orbital_irreps=tuple(str(c + 1) for c in codes), point_group=None)
    reference, found = integrals.reference_occupation, []
    for target in range(1 << int(codes.max()).bit_length()):
        occupation = lowest_determinant(labelled, reference, target)
        if occupation != reference and determinant_irrep(*occupation, codes) == target:
            found.append(occupation)
    return found


def _fragments(integrals: MolecularIntegrals) -> np.ndarray:
    """Numbers (M,) of sets of orbitals between which no electron moves."""
    moves = sum(
        np.abs(block).max(axis=axis, initial=0.0) for block in integrals.spin_blocks[1] for axis in (0, 1)
    )
    rows, columns = np.tril_indices(integrals.n_orbitals)
    linked = np.sum([np.abs(h) for h in integrals.spin_blocks[0]], axis=0)
    linked[rows, columns] += moves
    return connected_components(linked > _NOTHING, directed=False)[1]


def _selected_energies(
    integrals: MolecularIntegrals, starts: Iterable[Occupation], fold: bool
) -> list[Found]:
    """Energies of spaces that grow from determinants; those far above the lowest, and not the first, stop."""
    tables, size = build_tables(integrals), integrals.n_orbitals
    most = max_connections(size, integrals.n_alpha, integrals.n_beta)
    spaces = []
    for start in starts:
        determinants = determinant_from_orbitals(*start, size)
        determinants = spin_flip_representatives(determinants) if fold else determinants
        energy = float(diagonal_elements(tables, determinants)[0])
        spaces.append((Found(energy, start), determinants, np.ones(1)))
    alive = list(range(len(spaces)))
    for largest, window in _STAGES:
        for place in alive:
            found, determinants, psi = spaces[place]
            wanted = min(largest, max(_MOST_CONNECTIONS // max(most, 1), 1))
            if len(determinants) < wanted:
                grown, energy, psi = _grown(tables, determinants, psi, found.energy, fold, wanted)
                spaces[place] = Found(energy, found.occupation), grown, psi
        limit = _least(space[0] for space in spaces).energy + window
        alive = [place for place in alive if place == 0 or spaces[place][0].energy <= limit]
    return [space[0] for space in spaces]


def _grown(
    tables: Any, determinants: np.ndarray, psi: np.ndarray, energy: float, fold: bool, size: int
) -> tuple[np.ndarray, float, np.ndarray]:
    """A space with the determinants that lower its energy most, that energy, and amplitudes."""
    outside = connected_space(tables, determinants, psi, fold, 1e-5)
    gain = outside.couplings**2 / energy_gaps(outside, energy)
    order = np.argsort(-gain, kind="stable")[: size - len(determinants)]
    determinants = np.concatenate([determinants, outside.determinants[order]])
    weight = multiplicities(determinants, fold)
    energy, vector = _lowest(symmetrised(hamiltonian_matrix(tables, determinants, fold), weight).tocsr())
    return determinants, energy, vector / np.sqrt(weight)


def conserved_parities(integrals: MolecularIntegrals) -> np.ndarray:
    """XOR codes (M,) of the orbitals that all integrals conserve, of at most three bits, named or not.

    Numbers of electrons in sets of orbitals count as well, by their parity; that of all electrons does not.
    """
    size = integrals.n_orbitals
    if size > _MOST_ORBITALS:
        return irrep_bits(integrals)
    one_body, two_body = integrals.spin_blocks
    rows, columns = np.tril_indices(size)
    linked = np.any([np.abs(block) > _NOTHING for block in two_body], axis=0)
    groups = connected_components(linked | linked.T, directed=False)[1]
    present = linked.any(axis=1)
    hopping = [np.abs(h)[rows, columns] > _NOTHING for h in one_body]
    basis: list[int] = []
    words = [(1 << int(p)) ^ (1 << int(q)) for p, q in zip(rows, columns, strict=True)]
    first: dict[int, int] = {}
    for pair in np.flatnonzero(present):
        first.setdefault(int(groups[pair]), words[pair])
        _reduce(basis, words[pair] ^ first[int(groups[pair])])
    for pair in np.flatnonzero(hopping[0] | hopping[1]):
        _reduce(basis, words[pair])
    return _null_codes(basis, size)


def _reduce(basis: list[int], word: int) -> None:
    """Add a word to an echelon basis over two elements."""
    for known in basis:
        word = min(word, word ^ known)
    if word:
        basis.append(word)
        basis.sort(reverse=True)


def _null_codes(basis: list[int], size: int) -> np.ndarray:
    """Codes of the words orthogonal to a basis, without the one of all orbitals."""
    reduced = list(basis)
    for place, word in enumerate(reduced):
        lead = 1 << (word.bit_length() - 1)
        reduced = [w ^ word if w & lead and at != place else w for at, w in enumerate(reduced)]
    leads = [word.bit_length() - 1 for word in reduced]
    free = [p for p in range(size) if p not in leads]
    codes = np.zeros(size, dtype=np.int64)
    # The sum of all is the parity of the electrons: one of them is implied by the others.
    for bit, orbital in enumerate(free[1 : _BITS + 1]):
        codes[orbital] |= 1 << bit
        for lead, word in zip(leads, reduced, strict=True):
            codes[lead] |= (word >> orbital & 1) << bit
    return codes


def _occupation(determinant: np.ndarray, size: int) -> Occupation:
    occupied = unpack_occupations(determinant[None], size)[0]
    alpha, beta = (np.flatnonzero(half).tolist() for half in occupied.reshape(2, size))
    return tuple(alpha), tuple(beta)

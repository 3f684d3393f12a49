"""Reference energies of a Hamiltonian given as integrals: HF, MP2, CCSD, CCSD(T) and FCI with PySCF.

They come from the integrals alone, so a frozen core, an active space or a FCIDUMP file gets
references of exactly the problem that is solved. None but FCI and HF is a bound.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import combinations
from typing import Any

import numpy as np

from hamiltonians.errors import InputError, extra
from hamiltonians.integrals import MolecularIntegrals, irrep_bits
from hamiltonians.irreps import determinant_irrep, irrep_name
from hamiltonians.molecule.determinant import determinant_energy
from hamiltonians.molecule.fci_lanczos import lowest_by_lanczos
from hamiltonians.molecule.pseudo_scf import PseudoField, pseudo_field, relaxed_integrals
from hamiltonians.molecule.spec import FCI_LIMIT
from hamiltonians.molecule.system import Molecule
from hamiltonians.packing import number_of_pairs

_STATIONARY = 1e-4  # Hartree; larger occupied-empty Fock elements are no Hartree-Fock solution
_CC_WORK = 1e11  # o^2 v^4 of an affordable CCSD iteration (about ten seconds on one core)
_TRIPLES_WORK = 2e12  # o^3 v^4 of an affordable (T)
_FCI_WORK = 2e5  # operations of an FCI iteration that each determinant of the limit stands for
_CC_SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"level_shift": 0.3, "diis_start_cycle": 4, "max_cycle": 300},
    {"diis": False, "level_shift": 0.0, "max_cycle": 500},
)
# What becomes of a DIIS matrix that is singular (amplitudes that vanish, broken bonds) or not finite.
_SINGULAR = (np.linalg.LinAlgError, AttributeError, ValueError, FloatingPointError)
_BROKEN_DOWN = 5e-3  # Hartree; at equilibrium MP2 and coupled cluster lie above FCI, or below by less
_FAR = 64.0  # Hartree; level of orbitals that take no part
# A second FCI root guards against a start vector that lacks the ground state by a hidden symmetry.
_SECOND_ROOT_STATES = 5_000
_SECOND_ROOT_ORBITALS = 40
_SPIN_RESOLVED_ORBITALS = 60  # spin-resolved CC works on the pairs of twice as many orbitals


class Failure(str):
    """Note of a method that broke off."""


@dataclass
class _References:
    """Energies and notes while they are collected."""

    energies: dict[str, float | None]
    notes: dict[str, str]

    def attempt(self, methods: tuple[str, ...], make: Callable[[], None]) -> None:
        """Call what fills in energies; where it fails, those that are missing get the reason."""

        def failed(why: str) -> None:
            missing = tuple(method for method in methods if self.energies.get(method) is None)
            self.skip(missing, Failure(why))

        extra(methods[0].upper(), make, failed)

    def skip(self, methods: tuple[str, ...], why: str) -> None:
        self.energies |= dict.fromkeys(methods)
        self.notes |= dict.fromkeys(methods, why)


def reference_energies(
    integrals: MolecularIntegrals,
    *,
    fci_limit: int = FCI_LIMIT,
    coupled_cluster: bool = True,
) -> tuple[dict[str, float | None], dict[str, str]]:
    """Compute what is affordable.

    `hf` is the energy of the reference determinant; where that is not a Hartree-Fock solution, MP2
    and coupled cluster start from the one it relaxes to, and the notes say so. MP2 is second-order
    in semicanonical orbitals with the singles of ROHF. FCI is that of `solve_fci`.

    Args:
        integrals: The Hamiltonian.
        fci_limit: Largest number of determinants (alpha strings times beta strings) for FCI.
        coupled_cluster: Whether to run MP2, CCSD and CCSD(T).

    Returns:
        Energies in Hartree under "hf", "mp2", "ccsd", "ccsd_t", "fci" (None where not computed), and
        notes under the same keys.
    """
    found = _References({"hf": determinant_energy(integrals)}, {})
    if coupled_cluster:
        found.attempt(("mp2", "ccsd", "ccsd_t"), lambda: _perturbative(integrals, found))
    else:
        found.skip(("mp2", "ccsd", "ccsd_t"), "not asked for")
    found.attempt(("fci",), lambda: _fci(integrals, fci_limit, found))
    _note_breakdown(found)
    return found.energies, found.notes


def with_references(system: Molecule, *, fci_limit: int = FCI_LIMIT) -> Molecule:
    """Return `system` with the reference energies of its integrals, or a note that PySCF is missing."""
    if find_spec("pyscf") is None:
        found = _References({"hf": determinant_energy(system.integrals)}, {})
        found.skip(("mp2", "ccsd", "ccsd_t", "fci"), "PySCF is not installed")
        return replace(system, references=found.energies, reference_notes=found.notes)
    energies, notes = reference_energies(system.integrals, fci_limit=fci_limit)
    info = replace(system.info, warnings=(*system.info.warnings, *failures(notes)))
    return replace(system, info=info, references=energies, reference_notes=notes)


def failures(notes: Mapping[str, str]) -> tuple[str, ...]:
    """Return the notes of `reference_energies` that are worth a warning: a method broke off."""
    broken = dict.fromkeys(why for why in notes.values() if isinstance(why, Failure))
    return tuple(f"no reference energy: {why}" for why in broken)


def second_order_energy(integrals: MolecularIntegrals) -> float:
    """Return the MP2 energy of a reference determinant that is a Hartree-Fock solution, in Hartree."""
    if integrals.two_S < 0:
        integrals = integrals.spin_flipped()
    field = pseudo_field(_padded(integrals))
    return field.energy + _second_order(field)


def _note_breakdown(found: _References) -> None:
    """Note energies far below the exact one: as MP2 has them where bonds are broken."""
    exact = found.energies.get("fci")
    for method in ("mp2", "ccsd", "ccsd_t"):
        energy = found.energies.get(method)
        if exact is not None and energy is not None and energy < exact - _BROKEN_DOWN:
            text = f"{1e3 * (exact - energy):.1f} mHa below FCI: not to be trusted here"
            found.notes[method] = f"{text}; {found.notes[method]}" if method in found.notes else text


def _perturbative(integrals: MolecularIntegrals, found: _References) -> None:
    methods = ("mp2", "ccsd", "ccsd_t")
    if _nothing_to_correlate(integrals):
        found.energies |= dict.fromkeys(methods, found.energies["hf"])
        found.notes |= dict.fromkeys(methods, "equals HF: nothing to correlate")
        return
    if integrals.is_spin_resolved and integrals.n_orbitals > _SPIN_RESOLVED_ORBITALS:
        found.skip(methods, f"more than {_SPIN_RESOLVED_ORBITALS} spin-resolved orbitals")
        return
    if integrals.two_S < 0:
        integrals = integrals.spin_flipped()  # PySCF wants no fewer alpha than beta electrons
    field = pseudo_field(_padded(integrals))
    if field.gradient > _STATIONARY:
        found.notes["hf"] = "energy of the reference determinant, which is not a Hartree-Fock solution"
        relaxed = relaxed_integrals(integrals)
        if relaxed is None:
            found.skip(methods, "the reference determinant does not relax to a Hartree-Fock solution")
            return
        field = pseudo_field(_padded(relaxed))
        origin = f"from the Hartree-Fock solution of these integrals ({field.energy:.8f} Hartree)"
        found.notes["hf"] += f"; it relaxes to {field.energy:.8f}"
        found.notes |= dict.fromkeys(methods, origin)
    with np.errstate(all="ignore"):
        correlation = _second_order(field)
    if np.isfinite(correlation):
        found.energies["mp2"] = field.energy + correlation
    else:
        found.skip(("mp2",), "occupied and empty orbitals have one energy")
    found.attempt(("ccsd", "ccsd_t"), lambda: _coupled_cluster(field, found))


def _nothing_to_correlate(integrals: MolecularIntegrals) -> bool:
    """True where no double excitation exists (singles do nothing to a stationary determinant)."""
    spaces = [(n, integrals.n_orbitals - n) for n in (integrals.n_alpha, integrals.n_beta)]
    same_spin = any(min(space) >= 2 for space in spaces)
    opposite = all(min(space) >= 1 for space in spaces)
    return not (same_spin or opposite)


def _padded(integrals: MolecularIntegrals) -> MolecularIntegrals:
    """Return integrals with an occupied and an empty orbital more, uncoupled, where a spin has none.

    PySCF's unrestricted coupled cluster divides by the number of either.
    """
    size = integrals.n_orbitals
    numbers = (integrals.n_alpha, integrals.n_beta)
    levels = [-_FAR] * (min(numbers) == 0) + [_FAR] * (max(numbers) == size)
    if not levels:
        return integrals
    deep = levels.count(-_FAR)
    larger = size + len(levels)
    one_body = np.zeros((*integrals.one_body.shape[:-2], larger, larger))
    one_body[..., :size, :size] = integrals.one_body
    for orbital, level in enumerate(levels, start=size):
        one_body[..., orbital, orbital] = level
    pairs = number_of_pairs(size)
    two_body = np.zeros((*integrals.two_body.shape[:-2], *[number_of_pairs(larger)] * 2))
    two_body[..., :pairs, :pairs] = integrals.two_body
    alpha, beta = (orbitals + (size,) * deep for orbitals in integrals.reference_occupation)
    return MolecularIntegrals(
        integrals.constant + 2 * deep * _FAR,
        one_body,
        two_body,
        integrals.n_alpha + deep,
        integrals.n_beta + deep,
        reference_occupation=(alpha, beta),
    )


def _second_order(field: PseudoField) -> float:
    """Return the MP2 correlation energy in semicanonical spin orbitals, singles included."""
    energy = 0.0
    for spin in (0, 1):
        occupied, empty = field.levels[spin]
        singles = field.occupied_empty_fock(spin) ** 2
        energy += float(np.sum(singles / (occupied[:, None] - empty[None, :])))
        direct = field.ovov(spin, spin)
        exchanged = direct - direct.transpose(0, 3, 2, 1)
        gap = _gap(occupied, empty, occupied, empty)
        energy += 0.25 * float(np.sum(exchanged**2 / gap))
    direct = field.ovov(0, 1)
    gap = _gap(*field.levels[0], *field.levels[1])
    return energy + float(np.sum(direct**2 / gap))


def _gap(i: np.ndarray, a: np.ndarray, j: np.ndarray, b: np.ndarray) -> np.ndarray:
    return i[:, None, None, None] - a[None, :, None, None] + j[None, None, :, None] - b[None, None, None, :]


def _coupled_cluster(field: PseudoField, found: _References) -> None:
    occupied = float(max(field.numbers))
    empty = float(field.size - min(field.numbers))
    factor = 1.0 if field.restricted else 3.0
    if factor * occupied**2 * empty**4 > _CC_WORK:
        found.skip(("ccsd", "ccsd_t"), "too expensive for this size")
        return
    solver: Any = field.coupled_cluster()
    solver.verbose = 0
    solver.conv_tol = 1e-10
    solver.conv_tol_normt = 1e-7
    solver.max_cycle = 100
    integrals = solver.ao2mo(solver.mo_coeff)
    for settings in _CC_SETTINGS:
        vars(solver).update(settings)
        solver.converged = False
        with np.errstate(all="ignore"):
            extra("CCSD", lambda: solver.kernel(eris=integrals), lambda why: None, spared=_SINGULAR)
        if solver.converged and np.isfinite(solver.e_corr):
            break
    else:
        found.skip(("ccsd", "ccsd_t"), "CCSD did not converge")
        return
    ccsd = field.energy + float(solver.e_corr)
    found.energies["ccsd"] = ccsd
    if solver.e_corr > 1e-8:
        found.notes["ccsd"] = found.notes["ccsd_t"] = (
            "lies above HF: the amplitudes belong to an excited solution"
        )
    if factor * occupied**3 * empty**4 > _TRIPLES_WORK:
        found.skip(("ccsd_t",), "too expensive for this size")
        return
    holes = sum(field.numbers)
    has_triples = holes >= 3 and 2 * field.size - holes >= 3
    triples = float(solver.ccsd_t(eris=integrals)) if has_triples else 0.0
    found.energies["ccsd_t"] = ccsd + triples


def _fci(integrals: MolecularIntegrals, limit: int, found: _References) -> None:
    dimension = fci_dimension(integrals)
    if dimension > limit:
        found.skip(("fci",), f"FCI dimension {_short(dimension)} above the limit {_short(limit)}")
        return
    work = dimension * float(number_of_pairs(integrals.n_orbitals)) ** 2
    if work > _FCI_WORK * limit:
        found.skip(
            ("fci",),
            f"FCI dimension {_short(dimension)} in {integrals.n_orbitals} orbitals is too expensive for "
            f"the limit {_short(limit)}",
        )
        return
    try:
        result = solve_fci(integrals)
    except NotImplementedError:
        found.skip(("fci",), "PySCF's FCI cannot treat this many orbitals")
        return
    if not result.converged:
        found.skip(("fci",), "FCI did not converge")
        return
    found.energies["fci"] = result.energy
    note = result.note
    spin = abs(integrals.two_S) / 2
    if result.s_squared is not None and abs(result.s_squared - spin * (spin + 1)) > 1e-3:
        note += f", with <S^2> = {result.s_squared:.3f}"
    found.notes["fci"] = note


def _short(number: float) -> str:
    return str(int(number)) if number < 1e5 else f"{float(number):.2g}".replace("e+0", "e").replace("e+", "e")


@dataclass(frozen=True)
class FciResult:
    """The lowest energy and what state it belongs to."""

    energy: float
    """Total energy in Hartree."""
    s_squared: float | None
    """<S^2>, or None where alpha and beta orbitals differ, or from 64 orbitals on."""
    converged: bool
    """True where the eigenvector converged."""
    note: str
    """Which states were searched."""


def fci_dimension(integrals: MolecularIntegrals) -> int:
    """Return the number of determinants, alpha strings times beta strings (all irreps)."""
    size = integrals.n_orbitals
    return math.comb(size, integrals.n_alpha) * math.comb(size, integrals.n_beta)


def fci_energy_of_integrals(integrals: MolecularIntegrals) -> float:
    """Return the FCI ground-state energy in Hartree; see `solve_fci` for which state that is.

    Raises:
        InputError: The eigenvector does not converge.
    """
    result = solve_fci(integrals)
    if not result.converged:
        raise InputError("FCI did not converge: the spectrum may be degenerate; try other orbitals")
    return result.energy


def solve_fci(integrals: MolecularIntegrals) -> FciResult:
    """Find the lowest state in the irrep of the reference determinant.

    With as many alpha as beta electrons in the same orbitals, states of even S are searched (the
    singlet, as a rule); otherwise all states with the given spin projection. Without irreps the
    whole space is searched. `fci_dimension` tells the cost.
    """
    resolved, spin = integrals.is_spin_resolved, abs(integrals.two_S) / 2
    if fci_dimension(integrals) == 1:
        s_squared = None if resolved else spin * (spin + 1)
        return FciResult(determinant_energy(integrals), s_squared, True, "one determinant")
    even_spin = integrals.two_S == 0 and not resolved
    codes = irrep_bits(integrals) * (not resolved)  # zeros where no irrep is used
    irrep = determinant_irrep(*integrals.reference_occupation, codes)
    labelled = bool(codes.any())
    solver = _solver(even_spin, labelled, resolved)
    if labelled:
        solver.orbsym = codes
        solver.wfnsym = irrep
    electrons = (integrals.n_alpha, integrals.n_beta)
    solver.nroots = _number_of_roots(integrals, even_spin, codes, irrep)
    parts = (integrals.one_body, integrals.two_body)
    arrays = [tuple(map(np.array, part)) if resolved else np.array(part) for part in parts]
    task = (*arrays, integrals.n_orbitals, electrons)
    energies, vectors = solver.kernel(*task)
    energies, converged = np.atleast_1d(energies), np.atleast_1d(solver.converged)
    lowest = int(np.argmin(energies))
    energy = float(energies[lowest])
    vector = vectors[lowest] if isinstance(vectors, (list, tuple)) else vectors
    is_converged = bool(converged.all())
    if not is_converged:
        states = _string_irreps(codes, integrals.n_alpha)[:, None] ^ _string_irreps(codes, integrals.n_beta)
        found = lowest_by_lanczos(solver, task, states == irrep, symmetric=even_spin)
        if found is not None:
            (energy, vector), is_converged = found, True
    s_squared = None
    if not resolved and integrals.n_orbitals < 64:  # PySCF's limit
        s_squared = float(solver.spin_square(vector, integrals.n_orbitals, electrons)[0])
    searched = "even S" if even_spin else f"S_z = {integrals.two_S / 2:g}"
    where = f", irrep {irrep_name(irrep, integrals.point_group)}" if labelled else ""
    return FciResult(
        energy + integrals.constant,
        s_squared,
        is_converged,
        f"lowest state of {searched}{where}",
    )


def _solver(even_spin: bool, labelled: bool, spin_resolved: bool) -> Any:
    from pyscf.fci import direct_spin0, direct_spin0_symm, direct_spin1, direct_spin1_symm, direct_uhf

    if spin_resolved:
        module = direct_uhf
    elif labelled:
        module = direct_spin0_symm if even_spin else direct_spin1_symm
    else:
        module = direct_spin0 if even_spin else direct_spin1
    solver = module.FCISolver(None)
    solver.verbose = 0
    solver.conv_tol = 1e-11
    solver.max_cycle = 300
    solver.max_space = 20
    solver.pspace_size = 400
    return solver


def _number_of_roots(integrals: MolecularIntegrals, even_spin: bool, codes: np.ndarray, irrep: int) -> int:
    """Return 2 where that is cheap and there are two states, else 1."""
    symmetry = 8 if codes.any() else 1
    too_large = fci_dimension(integrals) > symmetry * _SECOND_ROOT_STATES
    if too_large or integrals.n_orbitals > _SECOND_ROOT_ORBITALS:
        return 1
    alpha = _string_irreps(codes, integrals.n_alpha)
    beta = _string_irreps(codes, integrals.n_beta)
    states = int(np.count_nonzero((alpha[:, None] ^ beta[None, :]) == irrep))
    if even_spin:
        states = (states + alpha.size * (irrep == 0)) // 2
    return max(1, min(2, states))


def _string_irreps(codes: np.ndarray, number: int) -> np.ndarray:
    """Return the irrep of every way to put `number` electrons into the orbitals."""
    # PySCF's order of strings: by the bits as a number.
    strings = sorted(combinations(range(codes.size), number), key=lambda string: string[::-1])
    return np.array([np.bitwise_xor.reduce(codes[list(s)], initial=0) for s in strings], dtype=int)

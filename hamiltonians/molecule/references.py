"""Reference energies of a Hamiltonian given as integrals: HF, MP2, CCSD, CCSD(T) and FCI with PySCF.

They come from the integrals alone, so a frozen core, an active space or a FCIDUMP file gets
references of exactly the problem that is solved. None but FCI and HF is a bound.
"""

from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np

from hamiltonians.integrals import MolecularIntegrals
from hamiltonians.molecule.determinant import determinant_energy
from hamiltonians.molecule.fci import fci_dimension, solve_fci
from hamiltonians.molecule.pseudo_scf import PseudoField, pseudo_field, relaxed_integrals
from hamiltonians.molecule.system import Molecule
from hamiltonians.packing import number_of_pairs

_STATIONARY = 1e-4  # Hartree; larger occupied-empty Fock elements are no Hartree-Fock solution
_CC_WORK = 1e11  # o^2 v^4 of an affordable CCSD iteration (about ten seconds on one core)
_TRIPLES_WORK = 2e12  # o^3 v^4 of an affordable (T)
_FCI_WORK = 2e5  # operations of an FCI iteration that each determinant of the limit stands for
_FAR = 64.0  # Hartree; level of orbitals that take no part
_SPIN_RESOLVED_ORBITALS = 60  # spin-resolved CC works on the pairs of twice as many orbitals


@dataclass
class _References:
    """Energies and notes while they are collected."""

    energies: dict[str, float | None]
    notes: dict[str, str]

    def skip(self, methods: tuple[str, ...], why: str) -> None:
        for method in methods:
            self.energies[method] = None
            self.notes[method] = why


def reference_energies(
    integrals: MolecularIntegrals,
    *,
    fci_limit: int = 5_000_000,
    coupled_cluster: bool = True,
) -> tuple[dict[str, float | None], dict[str, str]]:
    """Compute what is affordable.

    `hf` is the energy of the reference determinant; where that is not a Hartree-Fock solution, MP2
    and coupled cluster start from the one it relaxes to, and the notes say so. MP2 is second-order
    in semicanonical orbitals with the singles of ROHF. FCI is described in `hamiltonians.molecule.fci`.

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
        _perturbative(integrals, found)
    else:
        found.skip(("mp2", "ccsd", "ccsd_t"), "not asked for")
    _fci(integrals, fci_limit, found)
    return found.energies, found.notes


def with_references(system: Molecule, *, fci_limit: int = 5_000_000) -> Molecule:
    """Return `system` with the reference energies of its integrals, or a note that PySCF is missing.

    Args:
        system: A system of any origin.
        fci_limit: See `reference_energies`.
    """
    if find_spec("pyscf") is None:
        found = _References({"hf": determinant_energy(system.integrals)}, {})
        found.skip(("mp2", "ccsd", "ccsd_t", "fci"), "PySCF is not installed")
        return replace(system, references=found.energies, reference_notes=found.notes)
    energies, notes = reference_energies(system.integrals, fci_limit=fci_limit)
    return replace(system, references=energies, reference_notes=notes)


def second_order_energy(integrals: MolecularIntegrals) -> float:
    """Return the total MP2 energy of the reference determinant, as `reference_energies` defines it.

    Args:
        integrals: The Hamiltonian; the determinant has to be a Hartree-Fock solution.
    """
    if integrals.two_S < 0:
        integrals = integrals.spin_flipped()
    field = pseudo_field(_padded(integrals))
    return field.energy + _second_order(field)


def _perturbative(integrals: MolecularIntegrals, found: _References) -> None:
    methods = ("mp2", "ccsd", "ccsd_t")
    if _nothing_to_correlate(integrals):
        for method in methods:
            found.energies[method] = found.energies["hf"]
            found.notes[method] = "equals HF: nothing to correlate"
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
        for method in methods:
            found.notes[method] = origin
    found.energies["mp2"] = field.energy + _second_order(field)
    _coupled_cluster(field, found)


def _nothing_to_correlate(integrals: MolecularIntegrals) -> bool:
    """True where no double excitation exists (singles do nothing to a stationary determinant)."""
    size = integrals.n_orbitals
    holes = (integrals.n_alpha, integrals.n_beta)
    particles = (size - integrals.n_alpha, size - integrals.n_beta)
    same_spin = any(h >= 2 and p >= 2 for h, p in zip(holes, particles, strict=True))
    opposite = all(h >= 1 and p >= 1 for h, p in zip(holes, particles, strict=True))
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
        occupied, empty = field.occupied_energies[spin], field.empty_energies[spin]
        singles = field.occupied_empty_fock(spin) ** 2
        energy += float(np.sum(singles / (occupied[:, None] - empty[None, :])))
        direct = field.ovov(spin, spin)
        exchanged = direct - direct.transpose(0, 3, 2, 1)
        gap = _gap(occupied, empty, occupied, empty)
        energy += 0.25 * float(np.sum(exchanged**2 / gap))
    direct = field.ovov(0, 1)
    gap = _gap(
        field.occupied_energies[0],
        field.empty_energies[0],
        field.occupied_energies[1],
        field.empty_energies[1],
    )
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
    solver.kernel(eris=integrals)
    if not solver.converged:
        solver.level_shift = 0.3
        solver.diis_start_cycle = 4
        solver.max_cycle = 300
        solver.kernel(eris=integrals)
    if not solver.converged or not np.isfinite(solver.e_corr):
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
    triples = 0.0 if _too_small_for_triples(field) else float(solver.ccsd_t(eris=integrals))
    found.energies["ccsd_t"] = ccsd + triples


def _too_small_for_triples(field: PseudoField) -> bool:
    holes = sum(field.numbers)
    return holes < 3 or 2 * field.size - holes < 3


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

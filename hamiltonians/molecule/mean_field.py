"""Hartree-Fock on a geometry with PySCF: silent, symmetry-adapted where that costs nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hamiltonians.errors import InputError, whole_number
from hamiltonians.molecule.basis_file import BasisFile
from hamiltonians.molecule.basis_sets import kinds_of_atoms, resolve_basis, resolve_ecp
from hamiltonians.molecule.geometry import Geometry
from hamiltonians.molecule.pseudopotentials import check_potentials
from hamiltonians.molecule.stability import instabilities, second_order, silent, stable_solution

_LINEAR_DEPENDENCE = 1e-8  # smallest eigenvalue of the overlap that is taken as it is
_SAME_ENERGY = 1e-7  # Hartree; SCF solutions closer than this count as one
_WATCHED_ORBITALS = 100  # AOs up to which a solution that nobody asked to be stable is looked at
_INCORE_ORBITALS = 170  # AO integrals of this many fit into 1 GB

_METHODS = ("auto", "rhf", "rohf", "uhf")


@dataclass(frozen=True)
class MeanField:
    """A converged (or loudly unconverged) Hartree-Fock solution."""

    scf: Any
    """PySCF's object, with `mo_coeff`, `mo_occ`, `mo_energy`."""
    method: str
    """"RHF", "ROHF" or "UHF"."""
    energy: float
    """Total energy in Hartree."""
    converged: bool
    """True where the orbital gradient vanished."""
    group: str | None
    """Abelian group the orbitals are adapted to, or None."""
    top_group: str
    """Full point group of the nuclei, or "" where it was not looked for."""
    ecp: tuple[tuple[str, str], ...]
    """(element, potential) pairs."""
    warnings: tuple[str, ...]
    """Warnings, one line each."""


def electron_counts(geometry: Geometry, charge: int | None, spin: int | None) -> tuple[int, int]:
    """Return (charge, 2S) after filling in what was not given.

    Missing values come from the geometry's source, then charge 0 and the lowest consistent spin.
    The source's spin is used only with the source's charge.

    Raises:
        InputError: No electrons are left, or 2S does not fit their number.
    """
    stated_charge = geometry.charge or 0
    total_charge = stated_charge if charge is None else whole_number(charge, "charge")
    electrons = geometry.nuclear_charge - total_charge
    if electrons < 1:
        raise InputError(
            f"charge {total_charge:+d} leaves {geometry.formula} with {electrons} electrons: "
            f"give a charge below {geometry.nuclear_charge:+d}"
        )
    if spin is not None:
        two_s = whole_number(spin, "spin")
    elif geometry.two_S is not None and total_charge == stated_charge:
        two_s = geometry.two_S
    else:
        two_s = electrons % 2
    if two_s < 0 or two_s > electrons or (electrons - two_s) % 2:
        parity = "even" if electrons % 2 == 0 else "odd"
        raise InputError(
            f"{electrons} electrons cannot have spin 2S = {two_s}: give the {parity} number of unpaired "
            f"electrons, {electrons % 2} to {electrons}"
        )
    return total_charge, two_s


def solve_mean_field(
    geometry: Geometry,
    basis: str | Mapping[str, str],
    *,
    charge: int,
    two_S: int,
    reference: str = "auto",
    ecp: str | bool | Mapping[str, str] | None = None,
    symmetry: bool = True,
    most_orbitals: int = 1000,
    basis_file: BasisFile | None = None,
    stable: bool = False,
) -> MeanField:
    """Solve Hartree-Fock.

    Runs without symmetry first, then in the largest Abelian group, and takes the symmetric orbitals
    unless they cost energy. Falls back to a second-order solver where DIIS does not converge.

    Args:
        geometry: Nuclei.
        basis: Name, or names by label or element, and under "default".
        charge: Total charge.
        two_S: Number of unpaired electrons.
        reference: "auto" (RHF for singlets, else ROHF), "rhf", "rohf" or "uhf".
        ecp: See `resolve_ecp`.
        symmetry: Whether to adapt the orbitals to the point group.
        most_orbitals: Number of orbitals above which the molecule is refused.
        basis_file: See `resolve_basis`.
        stable: Follow instabilities, the spins as they are, to a solution without. Those that are left are in
            the warnings (of up to 100 atomic orbitals in any case).

    Raises:
        InputError: Unknown basis or method, a spin that does not fit, or too large a molecule.
    """
    method = _method(reference, two_S)
    kinds = kinds_of_atoms(geometry, basis)
    parsed_basis = resolve_basis(kinds, basis, basis_file)
    potentials, ecp_names = resolve_ecp(kinds, basis, ecp, basis_file)
    notes = [
        *(basis_file.warnings if basis_file else ()),
        *check_potentials(parsed_basis, potentials, refused=ecp is False),
    ]
    molecule = _molecule(geometry, kinds, parsed_basis, potentials, charge, two_S)
    if molecule.nao > most_orbitals:
        raise InputError(
            f"{molecule.nao} orbitals are more than the {most_orbitals} that fit: "
            "give a smaller basis, or an active space"
        )
    dependent = min(np.linalg.eigvalsh(molecule.intor_symmetric("int1e_ovlp"))) < _LINEAR_DEPENDENCE
    if dependent:
        notes.append("the basis is almost linearly dependent: its redundant part was removed")
        symmetry = False
    plain = _solve(molecule, method, remove_dependence=dependent)
    if stable:
        plain = stable_solution(plain)
    best, group, top_group = plain, None, ""
    if symmetry:
        best, group, top_group = _best_symmetric(molecule, method, plain, notes)
    if not best.converged:
        notes.append(
            f"{method} DID NOT CONVERGE: orbitals and reference energies are unreliable; "
            "try another geometry, basis, spin or reference='uhf'"
        )
    elif stable or molecule.nao <= _WATCHED_ORBITALS:
        notes += instabilities(best, method)
    return MeanField(
        best, method, float(best.e_tot), bool(best.converged), group, top_group, ecp_names, tuple(notes)
    )


def energy_at_spin(field: MeanField, two_S: int, *, method: str) -> float | None:
    """Return the Hartree-Fock energy (Hartree) of the same molecule at another spin.

    Args:
        field: Mean field of the molecule.
        two_S: Number of unpaired electrons.
        method: "RHF" or "ROHF" (either, as the spin wants), or "UHF".

    Returns:
        The energy; None where the spin is impossible or nothing converged.
    """
    molecule = field.scf.mol.copy()
    beta = (molecule.nelectron - two_S) // 2
    if beta < 0 or beta + two_S > molecule.nao:
        return None
    molecule.symmetry, molecule.spin = False, two_S
    molecule.build(dump_input=False, parse_arg=False)
    molecule.incore_anyway = field.scf.mol.incore_anyway
    name = _method("uhf" if method == "UHF" else "auto", two_S)
    dependent = any("linearly dependent" in text for text in field.warnings)
    found = _solve(molecule, name, remove_dependence=dependent)
    return float(found.e_tot) if found.converged else None


def mean_fock(field: MeanField) -> np.ndarray:
    """Return the Fock matrix over atomic orbitals, the mean of both spins for UHF."""
    fock = np.asarray(field.scf.get_fock())
    return fock.mean(axis=0) if fock.ndim == 3 else fock


def _method(reference: str, two_s: int) -> str:
    name = str(reference).casefold()
    if name not in _METHODS:
        raise InputError(f"reference {reference!r} is unknown: give {', '.join(_METHODS)}")
    if name == "rhf" and two_s:
        raise InputError(f"reference 'rhf' needs 2S = 0, not {two_s}: give 'rohf' or 'uhf'")
    if name == "uhf":
        return "UHF"
    return "RHF" if two_s == 0 else "ROHF"


def _molecule(
    geometry: Geometry, kinds: Sequence[str], basis: dict, ecp: dict, charge: int, two_s: int
) -> Any:
    from pyscf import gto

    molecule = gto.Mole()
    molecule.atom = [(kind, position) for kind, (_, position) in zip(kinds, geometry.atoms, strict=True)]
    molecule.unit = "Angstrom"
    molecule.basis = basis
    molecule.ecp = ecp
    molecule.charge = charge
    molecule.spin = two_s
    molecule.verbose = 0
    # Where a user's PySCF configuration asks for it, PySCF would parse our own command line.
    molecule.build(dump_input=False, parse_arg=False)
    if molecule.nelectron < 1:
        raise InputError(
            f"charge {charge:+d} leaves no electron outside the effective core: lower the charge"
        )
    n_alpha, n_beta = molecule.nelec
    if n_alpha > molecule.nao or n_beta < 0:
        raise InputError(
            f"2S = {two_s} puts {n_alpha} alpha electrons into {molecule.nao} orbitals: "
            "give a lower spin or a larger basis"
        )
    molecule.incore_anyway = molecule.nao <= _INCORE_ORBITALS
    return molecule


def _new_scf(molecule: Any, method: str, integrals: np.ndarray | None, remove_dependence: bool) -> Any:
    from pyscf import scf

    field = silent(getattr(scf, method)(molecule))
    field.conv_tol = 1e-11
    field.conv_tol_grad = 1e-7
    field.max_cycle = 100
    if integrals is not None:
        field._eri = integrals
    if remove_dependence:
        field = scf.addons.remove_linear_dep_(field, threshold=_LINEAR_DEPENDENCE)
    return field


def _solve(
    molecule: Any,
    method: str,
    *,
    density: np.ndarray | None = None,
    integrals: np.ndarray | None = None,
    remove_dependence: bool = False,
) -> Any:
    field = _converged(_new_scf(molecule, method, integrals, remove_dependence), density)
    if method == "UHF" and molecule.spin == 0 and density is None and molecule.nelectron > 1:
        # A singlet starts with equal spins, which is a stationary point: tip it over.
        start = _mixed_density(field)
        tipped = _converged(_new_scf(molecule, method, field._eri, remove_dependence), start)
        if tipped.converged and tipped.e_tot < field.e_tot - _SAME_ENERGY:
            return tipped
    return field


def _converged(field: Any, density: np.ndarray | None) -> Any:
    """Return the SCF object after DIIS from a density, and second-order iterations where that fails."""
    field.kernel(density)
    if field.converged or not hasattr(field, "newton"):
        return field
    return second_order(field, field.mo_coeff)


def _mixed_density(field: Any) -> np.ndarray:
    """Return a density in which the HOMO and LUMO are mixed one way for alpha, the other for beta."""
    coefficients = np.asarray(field.mo_coeff)[0]
    order = np.argsort(-np.asarray(field.mo_occ[0]), kind="stable")
    homo = int(np.count_nonzero(field.mo_occ[0])) - 1
    if homo + 1 == coefficients.shape[1]:
        return field.make_rdm1()
    # The signs of alpha and beta orbitals are unrelated: both spins start from the alpha ones.
    orbitals = coefficients[:, order]
    density = []
    for sign in (1.0, -1.0):
        mixed = orbitals[:, : homo + 1].copy()
        mixed[:, homo] = (orbitals[:, homo] + sign * orbitals[:, homo + 1]) / np.sqrt(2.0)
        density.append(mixed @ mixed.T)
    return np.stack(density)


def _best_symmetric(molecule: Any, method: str, plain: Any, notes: list[str]) -> tuple[Any, str | None, str]:
    """Return (SCF, Abelian group, full group), giving up symmetry only where it costs energy."""
    top_group = ""
    for subgroup in (None, "C2v"):
        symmetric = _symmetric_molecule(molecule, subgroup)
        if symmetric is None:
            break
        top_group = top_group or symmetric.topgroup
        if symmetric.groupname == "C1":
            return plain, None, top_group
        for density in (None, plain.make_rdm1()):
            field = _solve(symmetric, method, density=density, integrals=plain._eri)
            if field.converged and field.e_tot < plain.e_tot + _SAME_ENERGY:
                return field, symmetric.groupname, top_group
        if method != "UHF" or top_group != "Dooh":
            break
    if plain.converged:
        notes.append(
            f"the lowest {method} solution breaks the point group {top_group}: its orbitals carry no irreps"
        )
    return plain, None, top_group


def _symmetric_molecule(molecule: Any, subgroup: str | None) -> Any | None:
    from pyscf.lib.exceptions import PointGroupSymmetryError

    symmetric = molecule.copy()
    symmetric.symmetry = True
    try:
        symmetric.build(dump_input=False, parse_arg=False)
        target = subgroup or {"Dooh": "D2h", "Coov": "C2v", "SO3": "D2h"}.get(symmetric.groupname)
        if target:
            symmetric.symmetry_subgroup = target
            symmetric.build(dump_input=False, parse_arg=False)
    except (PointGroupSymmetryError, RuntimeError, KeyError):
        return None  # nearly symmetric nuclei on which the detection and the orbitals disagree
    symmetric.incore_anyway = molecule.incore_anyway
    return symmetric

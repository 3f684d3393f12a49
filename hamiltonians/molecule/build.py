"""From a molecule to its Hamiltonian: `build_molecule` is the one call a chemist needs."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from hamiltonians.checks import whole_number
from hamiltonians.errors import InputError
from hamiltonians.integrals import MolecularIntegrals, determinant_irrep
from hamiltonians.irreps import clean_forbidden, irrep_codes, largest_forbidden
from hamiltonians.molecule.active_space import (
    ActiveSpace,
    Partition,
    checked_active_space,
    chemical_core,
    partition_orbitals,
)
from hamiltonians.molecule.avas import avas_orbitals
from hamiltonians.molecule.determinant import determinant_energy, lowest_determinant
from hamiltonians.molecule.frozen_natural import (
    FrozenNaturalOrbitals,
    NaturalSelection,
    checked_selection,
    frozen_natural_orbitals,
)
from hamiltonians.molecule.geometry import Geometry, read_geometry
from hamiltonians.molecule.mean_field import MeanField, electron_counts, solve_mean_field
from hamiltonians.molecule.orbitals import (
    ORBITAL_KINDS,
    Orbitals,
    canonical_orbitals,
    localised_orbitals,
    matched_by_irrep,
    natural_orbitals,
)
from hamiltonians.molecule.properties import OrbitalProperties, molecular_properties
from hamiltonians.molecule.system import Molecule, SystemInfo
from hamiltonians.molecule.truncation import Truncation
from hamiltonians.packing import number_of_pairs

_MOST_ORBITALS = 220  # packed integrals of this many take 4.7 GB
_MOST_FOR_ACTIVE_SPACE = 1000  # orbitals of a mean field from which an active space is taken
_MOST_FOR_REFERENCES = 120  # orbitals of a whole basis for which coupled cluster is tried
_NOISE = 1e-14  # Hartree; integrals below are set to zero
# Hartree. Coordinates of few decimals break symmetry a little. Dropping a forbidden integral d changes
# energies by d^2 over a gap, 1e-9 here; larger ones mean that the group is wrong.
_BROKEN = 2e-5


def build_molecule(
    molecule: str | Path | Geometry,
    basis: str | Mapping[str, str] = "sto-3g",
    *,
    charge: int | None = None,
    spin: int | None = None,
    reference: str = "auto",
    ecp: str | bool | Mapping[str, str] | None = None,
    unit: str = "angstrom",
    frozen_core: bool | int = False,
    active_space: ActiveSpace | str | None = None,
    orbitals: str = "canonical",
    fno_threshold: float | None = None,
    fno_virtuals: int | None = None,
    fno_density: str = "mp2",
    symmetry: bool = True,
    compute_references: bool = True,
    fci_limit: int = 5_000_000,
) -> Molecule:
    """Build the Hamiltonian of a molecule in Hartree-Fock (or derived) orbitals.

    Example:
        >>> system = build_molecule("H2", "sto-3g")
        >>> round(system.references["fci"], 6)
        -1.10115

    Args:
        molecule: A bundled name (any case), a path to an .xyz file, or inline text such as
            "N 0 0 0; N 0 0 1.1".
        basis: Name of a basis set, or {element: name}.
        charge: Total charge; by default what the .xyz comment says, else 0.
        spin: 2S as in PySCF; by default what the .xyz comment says, else the lowest possible.
        reference: "auto" (RHF, or ROHF for open shells), "rhf", "rohf" or "uhf"; UHF gives
            spin-resolved integrals.
        ecp: Effective core potential: None for the one that belongs to the basis, a name, or False.
        unit: Unit of inline coordinates, "angstrom" or "bohr".
        frozen_core: True freezes the chemical core, a number that many orbitals.
        active_space: (electrons, orbitals); ("energy", lowest, highest) in Hartree; ("indices",
            [...]) counted from 0 with occupied orbitals first; ("avas", ["N 2p", ...]); or text for
            `parse_active_space`.
        orbitals: "canonical", "mp2-natural", "ccsd-natural", "boys" or "pipek-mezey".
        fno_threshold: Leaves out virtual natural orbitals of smaller occupation (0 to 2), such as 1e-4; what
            that costs at second order is in `Molecule.truncation`. Not with an active space or UHF.
        fno_virtuals: Largest number of virtual natural orbitals to keep.
        fno_density: "mp2" or "ccsd": the density that gives the natural orbitals.
        symmetry: Whether orbitals are adapted to the largest Abelian subgroup of the point group.
        compute_references: Whether to compute MP2, CCSD, CCSD(T) and FCI beside HF.
        fci_limit: Largest number of determinants (alpha strings times beta strings) FCI is run for.

    Returns:
        Integrals, description and reference energies.

    Raises:
        InputError: Anything a user can get wrong; the message says what to give instead.
    """
    if orbitals not in ORBITAL_KINDS:
        raise InputError(f"orbitals {orbitals!r} are unknown: give {', '.join(ORBITAL_KINDS)}")
    if not isinstance(fci_limit, int | float) or not fci_limit >= 0:
        raise InputError(f"fci_limit {fci_limit!r}: give a number of determinants, 0 for none")
    space = checked_active_space(active_space)
    if space is not None and orbitals.endswith("natural") and space[0] in ("avas", "energy"):
        raise InputError(
            f"active space {space[0]!r} needs Hartree-Fock orbitals, not {orbitals}: "
            "give (electrons, orbitals)"
        )
    selection = checked_selection(
        fno_threshold,
        fno_virtuals,
        fno_density,
        orbitals=orbitals,
        reference=reference,
        has_active_space=space is not None,
    )
    geometry = read_geometry(molecule, unit=unit)
    total_charge, two_s = electron_counts(geometry, charge, spin)
    field = solve_mean_field(
        geometry,
        basis,
        charge=total_charge,
        two_S=two_s,
        reference=reference,
        ecp=ecp,
        symmetry=symmetry,
        most_orbitals=_MOST_ORBITALS
        if space is None and selection is None and frozen_core is False
        else _MOST_FOR_ACTIVE_SPACE,
    )
    n_core = _core_size(field, frozen_core)
    channels = canonical_orbitals(field)
    whole, natural = channels[0], None
    if orbitals.endswith("natural"):
        channels = (natural_orbitals(field, orbitals, n_core),)
    elif selection is not None:
        partition_orbitals(channels, two_s, n_core, None)  # refuses a core that is too large
        natural = frozen_natural_orbitals(field, whole, n_core, selection)
        channels = (natural.orbitals,)
    chosen_space = space
    if space is not None and space[0] == "avas":
        channels, chosen_space = avas_orbitals(
            field, channels, [space[1]] if isinstance(space[1], str) else list(space[1])
        )
    partitions = partition_orbitals(channels, two_s, n_core, chosen_space)
    core, active, notes = _select(field, channels, partitions)
    if orbitals in ("boys", "pipek-mezey"):
        deep = max(0, chemical_core(field.scf.mol) - partitions[0].core.size)
        active = tuple(localised_orbitals(field, part, orbitals, deep) for part in active)
    integrals = _integrals(field, core, active)
    if orbitals.endswith("natural"):
        integrals = _in_the_irrep_of_hartree_fock(field, integrals)
    truncation = None
    if selection is not None and natural is not None:
        limit = fci_limit if compute_references else None
        truncation = _truncation(field, core, (whole, natural), selection, integrals, limit)
    info = SystemInfo(
        formula=geometry.formula,
        name=geometry.name,
        basis=basis if isinstance(basis, str) else ", ".join(f"{k}: {v}" for k, v in basis.items()),
        charge=total_charge,
        two_S=two_s,
        reference_method=field.method,
        orbitals=_kind_of_orbitals(orbitals, space, selection),
        n_frozen_core=partitions[0].core.size,
        active_space=None
        if integrals.n_orbitals == whole.size
        else (integrals.n_electrons, integrals.n_orbitals),
        atoms=geometry.atoms,
        point_group=field.top_group,
        ecp=field.ecp,
        scf_converged=field.converged,
        source=str(molecule) if not isinstance(molecule, Geometry) else geometry.name,
        warnings=field.warnings + notes,
    )
    properties = molecular_properties(field, core, active)
    system = _with_references(integrals, info, field, properties, compute_references, fci_limit)
    return system if truncation is None else _truncated(system, truncation)


def _kind_of_orbitals(orbitals: str, space: tuple | None, selection: NaturalSelection | None) -> str:
    if selection is not None:
        return f"{orbitals}, {selection.density} frozen natural"
    return f"{orbitals}, avas" if space is not None and space[0] == "avas" else orbitals


def _core_size(field: MeanField, frozen_core: bool | int) -> int:
    if frozen_core is True:
        return chemical_core(field.scf.mol)
    number = 0 if frozen_core is False else whole_number(frozen_core, "frozen_core")
    if number < 0:
        raise InputError(f"frozen_core {number}: give True, False or a number of orbitals")
    return number


def _select(
    field: MeanField, channels: tuple[Orbitals, ...], partitions: tuple[Partition, ...]
) -> tuple[tuple[Orbitals, ...], tuple[Orbitals, ...], tuple[str, ...]]:
    core = tuple(c.take(part.core) for c, part in zip(channels, partitions, strict=True))
    active = tuple(c.take(part.active) for c, part in zip(channels, partitions, strict=True))
    count = active[0].size
    if count > _MOST_ORBITALS:
        raise InputError(
            f"{count} orbitals are more than the {_MOST_ORBITALS} that fit: "
            "give a smaller basis or an active space"
        )
    if len(active) == 1 or field.group is None:
        return core, active, ()
    alpha, beta = active
    matched = matched_by_irrep(alpha, beta)
    if matched is not None:
        return core, (alpha, matched), ()
    unlabelled = (replace(alpha, irreps=None), replace(beta, irreps=None))
    return core, unlabelled, ("alpha and beta active orbitals differ in irreps: none are given",)


def _integrals(
    field: MeanField, core: tuple[Orbitals, ...], active: tuple[Orbitals, ...]
) -> MolecularIntegrals:
    """Transform to the active orbitals, with the field of the core in the one-body part."""
    from pyscf import ao2mo

    scf_object = field.scf
    # get_hcore, not kinetic plus nuclear: an effective core potential is in there.
    hcore = scf_object.get_hcore()
    constant = float(scf_object.energy_nuc())
    core_spins = [c.coefficients for c in (core if len(core) == 2 else core * 2)]
    effective = np.stack([hcore, hcore])
    if core_spins[0].shape[1]:
        densities = np.stack([c @ c.T for c in core_spins])
        coulomb, exchange = scf_object.get_jk(scf_object.mol, densities)
        potential = coulomb.sum(axis=0) - exchange
        constant += float(np.einsum("spq,spq->", effective + 0.5 * potential, densities))
        effective = effective + potential
    source = scf_object._eri if scf_object._eri is not None else scf_object.mol
    spins = [part.coefficients for part in active]
    if len(spins) == 1:
        (c,) = spins
        one_body = c.T @ effective[0] @ c
        pairs = number_of_pairs(c.shape[1])
        two_body = np.asarray(ao2mo.kernel(source, c, compact=True)).reshape(pairs, pairs)
        n_alpha = int(np.count_nonzero(active[0].occupation > 0))
        n_beta = int(np.count_nonzero(active[0].occupation > 1))
        occupation = (tuple(range(n_alpha)), tuple(range(n_beta)))
    else:
        one_body = np.stack([c.T @ h @ c for c, h in zip(spins, effective, strict=True)])
        pairs = number_of_pairs(spins[0].shape[1])
        two_body = np.empty((3, pairs, pairs))
        for block, (s, t) in zip(two_body, ((0, 0), (0, 1), (1, 1)), strict=True):
            block[:] = ao2mo.general(source, (spins[s], spins[s], spins[t], spins[t]), compact=True).reshape(
                pairs, pairs
            )
        alpha, beta = (tuple(np.flatnonzero(part.occupation).tolist()) for part in active)
        occupation = (alpha, beta)
        n_alpha, n_beta = len(alpha), len(beta)
    irreps = active[0].irreps
    codes = irrep_codes(irreps, field.group, active[0].size)
    if max(largest_forbidden(one_body, two_body, codes)) > _BROKEN:
        irreps = None
    elif codes.any():
        clean_forbidden(one_body, two_body, codes)
    one_body[np.abs(one_body) < _NOISE] = 0.0
    for row in two_body.reshape(-1, two_body.shape[-1]):
        row[np.abs(row) < _NOISE] = 0.0
    two_body.flags.writeable = False  # hand it over without a copy
    return MolecularIntegrals(
        constant,
        one_body,
        two_body,
        n_alpha,
        n_beta,
        irreps,
        field.group if irreps is not None else None,
        occupation,
    )


def _in_the_irrep_of_hartree_fock(field: MeanField, integrals: MolecularIntegrals) -> MolecularIntegrals:
    """Point the reference at the best determinant of natural orbitals in Hartree-Fock's irrep."""
    channels = canonical_orbitals(field)
    occupied = []
    for spin in (0, 1):
        channel = channels[spin if len(channels) == 2 else 0]
        least = spin if len(channels) == 1 else 0
        filled = channel.take(np.flatnonzero(channel.occupation > least))
        occupied.append(irrep_codes(filled.irreps, field.group, filled.size))
    target = int(np.bitwise_xor.reduce(np.concatenate(occupied), initial=0))
    if determinant_irrep(integrals, integrals.reference_occupation) == target:
        return integrals
    better = lowest_determinant(integrals, integrals.reference_occupation, target)
    return replace(integrals, reference_occupation=better)


def _with_references(
    integrals: MolecularIntegrals,
    info: SystemInfo,
    field: MeanField,
    properties: OrbitalProperties,
    compute: bool,
    fci_limit: int,
) -> Molecule:
    energies: dict[str, float | None] = {"hf": field.energy}
    notes: dict[str, str] = {}
    if compute:
        from hamiltonians.molecule.references import reference_energies

        energies, notes = reference_energies(integrals, fci_limit=fci_limit)
        energies["hf"] = field.energy
        notes.pop("hf", None)
    if not field.converged:
        notes["hf"] = f"{field.method} did not converge"
    elif abs(determinant_energy(integrals) - field.energy) > 1e-6:
        notes["hf"] = (
            f"energy of {field.method}; the reference determinant of these orbitals has "
            f"{determinant_energy(integrals):.8f}"
        )
    return Molecule(integrals, info, energies, notes, properties)


def _truncation(
    field: MeanField,
    core: tuple[Orbitals, ...],
    orbitals: tuple[Orbitals, FrozenNaturalOrbitals],
    selection: NaturalSelection,
    integrals: MolecularIntegrals,
    fci_limit: int | None,
) -> Truncation:
    """Describe what was left out, with references of the whole basis unless `fci_limit` is None."""
    from hamiltonians.molecule.references import reference_energies, second_order_energy

    whole, natural = orbitals
    references: dict[str, float | None] = {"hf": field.energy}
    notes: dict[str, str] = {}
    active = whole.take(np.arange(core[0].size, whole.size))
    if fci_limit is not None and natural.n_kept < natural.occupations.size:
        if active.size <= _MOST_FOR_REFERENCES:
            references, notes = reference_energies(_integrals(field, core, (active,)), fci_limit=fci_limit)
        else:
            notes = dict.fromkeys(("ccsd", "ccsd_t", "fci"), f"more than {_MOST_FOR_REFERENCES} orbitals")
    return Truncation(
        density=selection.density,
        threshold=selection.threshold,
        most=selection.most,
        occupations=tuple(float(n) for n in natural.occupations),
        n_kept=natural.n_kept,
        mp2_all=natural.mp2,
        mp2_kept=second_order_energy(integrals),
        references={**references, "hf": field.energy, "mp2": natural.mp2},
        reference_notes=notes,
    )


def _truncated(system: Molecule, truncation: Truncation) -> Molecule:
    """Add the truncation, and say of every reference that it is one of the kept orbitals."""
    if not truncation.n_dropped:
        known = {key: value for key, value in system.references.items() if value is not None}
        same = replace(truncation, references={**truncation.references, **known, "mp2": truncation.mp2_all})
        return replace(system, truncation=same)
    kept = f"of the {truncation.n_kept} virtual orbitals kept of {truncation.n_virtual}"
    notes = dict(system.reference_notes)
    for method, energy in system.references.items():
        if energy is not None and method != "hf":
            notes[method] = f"{kept}; {notes[method]}" if method in notes else kept
    return replace(system, reference_notes=notes, truncation=truncation)

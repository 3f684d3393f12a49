"""From a molecule to its Hamiltonian: `build_molecule` is the one call a chemist needs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hamiltonians.errors import InputError, whole_number
from hamiltonians.integrals import MolecularIntegrals
from hamiltonians.irreps import clean_forbidden, irrep_codes
from hamiltonians.molecule.active_space import (
    avas_orbitals,
    checked_active_space,
    chemical_core,
    partition_orbitals,
)
from hamiltonians.molecule.basis_file import read_basis_file
from hamiltonians.molecule.determinant import determinant_energy, lowest_determinant
from hamiltonians.molecule.frozen_natural import (
    FrozenNaturalOrbitals,
    check_truncation,
    frozen_natural_orbitals,
)
from hamiltonians.molecule.geometry import Geometry, read_geometry
from hamiltonians.molecule.mean_field import MeanField, electron_counts, solve_mean_field
from hamiltonians.molecule.multiplicity import higher_spin_warnings, is_assumed
from hamiltonians.molecule.orbitals import (
    ORBITAL_KINDS,
    Orbitals,
    canonical_orbitals,
    localised_orbitals,
    lowdin_orbitals,
    matched_by_irrep,
    natural_orbitals,
)
from hamiltonians.molecule.properties import OrbitalProperties, molecular_properties
from hamiltonians.molecule.spec import MoleculeSpec
from hamiltonians.molecule.system import Molecule, SystemInfo, Truncation
from hamiltonians.packing import number_of_pairs

_MOST_ORBITALS = 220  # packed integrals of this many take 4.7 GB
_MOST_FOR_ACTIVE_SPACE = 1000  # orbitals of a mean field from which an active space is taken
_MOST_FOR_REFERENCES = 120  # orbitals of a whole basis for which coupled cluster is tried
_NOISE = 1e-14  # Hartree; integrals below are set to zero
# Hartree. Coordinates of few decimals break symmetry a little. Dropping a forbidden integral d changes
# energies by d^2 over a gap, 1e-9 here; larger ones mean that the group is wrong.
_BROKEN = 2e-5


@dataclass(frozen=True)
class _Chosen:
    """Orbitals of the Hamiltonian; a set for each spin (UHF), or one for both."""

    core: tuple[Orbitals, ...]
    """Frozen ones."""
    active: tuple[Orbitals, ...]
    """Those of the Hamiltonian."""
    whole: Orbitals
    """All canonical orbitals, of alpha for UHF."""
    natural: FrozenNaturalOrbitals | None
    """Frozen natural orbitals."""
    notes: tuple[str, ...]
    """Warnings."""


def build_molecule(
    molecule: str | Path | Geometry | MoleculeSpec,
    basis: str | Mapping[str, str] | None = None,
    **options: Any,
) -> Molecule:
    """Build the Hamiltonian of a molecule in Hartree-Fock (or derived) orbitals.

    Example:
        >>> system = build_molecule("H2", "sto-3g")
        >>> round(system.references["fci"], 6)
        -1.10115

    Args:
        molecule: A bundled name (any case), a path to an .xyz file, inline text such as
            "N 0 0 0; N 0 0 1.1", a geometry, or a whole `MoleculeSpec`.
        basis: Name of a basis set, or {element: name}; by default "sto-3g".
        options: Fields of `MoleculeSpec`: charge, spin, reference, ecp, unit, frozen_core, active_space,
            basis_file, orbitals, fno_threshold, fno_virtuals, fno_density, symmetry, references, fci_limit.

    Returns:
        Integrals, description and reference energies.

    Raises:
        InputError: The molecule, basis, spin, charge or any option makes no sense; the message
            says what to give instead.
    """
    given: dict[str, Any] = options if basis is None else {"basis": basis, **options}
    if isinstance(molecule, MoleculeSpec):
        spec = replace(molecule, **given)
    else:
        spec = MoleculeSpec(molecule, **given)  # type: ignore[arg-type]
    spec = _checked(spec)
    is_whole = spec.active_space is None and not spec.is_truncated and spec.frozen_core is False
    geometry = read_geometry(spec.molecule, unit=spec.unit)
    charge, two_s = electron_counts(geometry, spec.charge, spec.spin)
    field = solve_mean_field(
        geometry,
        spec.basis_sets,
        charge=charge,
        two_S=two_s,
        reference=spec.reference,
        ecp=spec.potentials,
        symmetry=spec.symmetry,
        stable=spec.stable,
        most_orbitals=_MOST_ORBITALS if is_whole else _MOST_FOR_ACTIVE_SPACE,
        basis_file=None if spec.basis_file is None else read_basis_file(spec.basis_file),
    )
    chosen = _chosen_orbitals(spec, field, two_s)
    integrals = _integrals(field, chosen.core, chosen.active)
    if spec.orbitals.endswith("natural"):
        integrals = _in_the_irrep_of_hartree_fock(field, integrals)
    elif spec.orbitals == "lowdin":
        better = lowest_determinant(integrals, integrals.reference_occupation)
        integrals = replace(integrals, reference_occupation=better)
    system = _with_references(
        integrals,
        _info(spec, geometry, field, chosen, (charge, two_s)),
        field,
        molecular_properties(field, chosen.core, chosen.active),
        spec,
    )
    if is_assumed(spec, geometry):
        doubts = higher_spin_warnings(field, integrals, system.references.get("fci"))
        system = replace(system, info=replace(system.info, warnings=(*system.info.warnings, *doubts)))
    if chosen.natural is None:
        return system
    return _truncated(system, _truncation(field, chosen, chosen.natural, spec, integrals))


def _checked(spec: MoleculeSpec) -> MoleculeSpec:
    """Return the specification, checked as far as that goes without a mean field, its active space parsed."""
    if spec.orbitals not in ORBITAL_KINDS:
        raise InputError(f"orbitals {spec.orbitals!r} are unknown: give {', '.join(ORBITAL_KINDS)}")
    if not isinstance(spec.fci_limit, int | float) or not spec.fci_limit >= 0:
        raise InputError(f"fci_limit {spec.fci_limit!r}: give a number of determinants, 0 for none")
    space = checked_active_space(spec.active_space)
    if spec.orbitals == "lowdin" and (spec.frozen_core is not False or space or spec.is_truncated):
        raise InputError(
            "orbitals lowdin mixes core and virtual orbitals: leave out frozen_core, active_space, "
            "fno_threshold and fno_virtuals"
        )
    if space is not None and spec.orbitals.endswith("natural") and space[0] in ("avas", "energy"):
        raise InputError(
            f"active space {space[0]!r} needs Hartree-Fock orbitals, not {spec.orbitals}: "
            "give (electrons, orbitals)"
        )
    check_truncation(spec)
    return replace(spec, active_space=space)  # type: ignore[arg-type]


def _chosen_orbitals(spec: MoleculeSpec, field: MeanField, two_s: int) -> _Chosen:
    """Return frozen and active orbitals of the kind asked for."""
    kind, space = spec.orbitals, checked_active_space(spec.active_space)
    n_core = _core_size(field, spec.frozen_core)
    channels = canonical_orbitals(field)
    whole, natural = channels[0], None
    if kind.endswith("natural"):
        channels = (natural_orbitals(field, kind, n_core),)
    elif kind == "lowdin":
        channels = (lowdin_orbitals(field),)
    elif spec.is_truncated:
        partition_orbitals(channels, two_s, n_core, None)  # refuses a core that is too large
        natural = frozen_natural_orbitals(
            field, whole, n_core, spec.fno_threshold, spec.fno_virtuals, spec.fno_density
        )
        channels = (natural.orbitals,)
    if space is not None and space[0] == "avas":
        labels = [space[1]] if isinstance(space[1], str) else list(space[1])
        channels, space = avas_orbitals(field, channels, labels)
    core, active = partition_orbitals(channels, two_s, n_core, space)
    frozen = tuple(orbitals.take(core) for orbitals in channels)
    kept, notes = _with_common_irreps(field, tuple(orbitals.take(active) for orbitals in channels))
    if kind in ("boys", "pipek-mezey"):
        deep = max(0, chemical_core(field.scf.mol) - core.size)
        kept = tuple(localised_orbitals(field, part, kind, deep) for part in kept)
    return _Chosen(frozen, kept, whole, natural, notes)


def _info(
    spec: MoleculeSpec, geometry: Geometry, field: MeanField, chosen: _Chosen, electrons: tuple[int, int]
) -> SystemInfo:
    active = chosen.active[0]
    n_active = sum(int(part.occupation.sum()) for part in chosen.active)
    return SystemInfo(
        formula=geometry.formula,
        name=geometry.name,
        basis=_name_of_basis(spec),
        charge=electrons[0],
        two_S=electrons[1],
        reference_method=field.method,
        orbitals=_kind_of_orbitals(spec),
        n_frozen_core=chosen.core[0].size,
        active_space=None if active.size == chosen.whole.size else (n_active, active.size),
        atoms=geometry.atoms,
        point_group=field.top_group,
        ecp=field.ecp,
        scf_converged=field.converged,
        source=geometry.name if isinstance(spec.molecule, Geometry) else str(spec.molecule),
        warnings=geometry.warnings + field.warnings + chosen.notes,
    )


def _name_of_basis(spec: MoleculeSpec) -> str:
    basis = spec.basis_sets
    named = [basis] if isinstance(basis, str) else [f"{k}: {v}" for k, v in basis.items()]
    return ", ".join([*([Path(spec.basis_file).name] if spec.basis_file is not None else []), *named])


def _kind_of_orbitals(spec: MoleculeSpec) -> str:
    if spec.is_truncated:
        return f"{spec.orbitals}, {spec.fno_density} frozen natural"
    is_avas = spec.active_space is not None and spec.active_space[0] == "avas"
    return f"{spec.orbitals}, avas" if is_avas else spec.orbitals


def _core_size(field: MeanField, frozen_core: bool | int) -> int:
    if frozen_core is True:
        return chemical_core(field.scf.mol)
    number = 0 if frozen_core is False else whole_number(frozen_core, "frozen_core")
    if number < 0:
        raise InputError(f"frozen_core {number}: give True, False or a number of orbitals")
    return number


def _with_common_irreps(
    field: MeanField, active: tuple[Orbitals, ...]
) -> tuple[tuple[Orbitals, ...], tuple[str, ...]]:
    """Return the orbitals with one list of irreps for both spins, and warnings."""
    count = active[0].size
    if count > _MOST_ORBITALS:
        raise InputError(
            f"{count} orbitals are more than the {_MOST_ORBITALS} that fit: "
            "give a smaller basis or an active space"
        )
    if len(active) == 1 or field.group is None:
        return active, ()
    alpha, beta = active
    matched = matched_by_irrep(alpha, beta)
    if matched is not None:
        return (alpha, matched), ()
    unlabelled = (replace(alpha, irreps=None), replace(beta, irreps=None))
    return unlabelled, ("alpha and beta active orbitals differ in irreps: none are given",)


def _integrals(
    field: MeanField, core: tuple[Orbitals, ...], active: tuple[Orbitals, ...]
) -> MolecularIntegrals:
    """Transform to the active orbitals, with the field of the core in the one-body part."""
    constant, effective = _frozen_field(field, core)
    spins = [part.coefficients for part in active]
    blocks = [c.T @ h @ c for c, h in zip(spins, effective)]
    one_body = blocks[0] if len(spins) == 1 else np.stack(blocks)
    two_body = _two_body(field, spins)
    if len(spins) == 1:
        alpha, beta = (np.flatnonzero(active[0].occupation > least) for least in (0, 1))
    else:
        alpha, beta = (np.flatnonzero(part.occupation) for part in active)
    occupation = (tuple(alpha.tolist()), tuple(beta.tolist()))
    irreps = active[0].irreps
    codes = irrep_codes(irreps, field.group, active[0].size)
    if not clean_forbidden(one_body, two_body, codes, _BROKEN):
        irreps = None
    one_body[np.abs(one_body) < _NOISE] = 0.0
    for row in two_body.reshape(-1, two_body.shape[-1]):
        row[np.abs(row) < _NOISE] = 0.0
    two_body.flags.writeable = False  # hand it over without a copy
    return MolecularIntegrals(
        constant,
        one_body,
        two_body,
        len(occupation[0]),
        len(occupation[1]),
        irreps,
        field.group if irreps is not None else None,
        occupation,
    )


def _frozen_field(field: MeanField, core: tuple[Orbitals, ...]) -> tuple[float, np.ndarray]:
    """Return the energy of nuclei and core, and h of both spins in its field, (2, n_ao, n_ao)."""
    scf_object = field.scf
    # get_hcore, not kinetic plus nuclear: an effective core potential is in there.
    hcore = scf_object.get_hcore()
    constant = float(scf_object.energy_nuc())
    spins = [c.coefficients for c in (core if len(core) == 2 else core * 2)]
    effective = np.stack([hcore, hcore])
    if spins[0].shape[1]:
        densities = np.stack([c @ c.T for c in spins])
        coulomb, exchange = scf_object.get_jk(scf_object.mol, densities)
        potential = coulomb.sum(axis=0) - exchange
        constant += float(np.einsum("spq,spq->", effective + 0.5 * potential, densities))
        effective = effective + potential
    return constant, effective


def _two_body(field: MeanField, spins: list[np.ndarray]) -> np.ndarray:
    """Return (pq|rs) over pairs of the orbitals of one spin (or both), or of [aa, ab, bb]."""
    from pyscf import ao2mo

    source = field.scf._eri if field.scf._eri is not None else field.scf.mol
    pairs = number_of_pairs(spins[0].shape[1])
    if len(spins) == 1:
        return np.asarray(ao2mo.kernel(source, spins[0], compact=True)).reshape(pairs, pairs)
    two_body = np.empty((3, pairs, pairs))
    for block, (s, t) in zip(two_body, ((0, 0), (0, 1), (1, 1)), strict=True):
        four = (spins[s], spins[s], spins[t], spins[t])
        block[:] = ao2mo.general(source, four, compact=True).reshape(pairs, pairs)
    return two_body


def _in_the_irrep_of_hartree_fock(field: MeanField, integrals: MolecularIntegrals) -> MolecularIntegrals:
    """Point the reference at the best determinant of natural orbitals in Hartree-Fock's irrep."""
    channels = canonical_orbitals(field)
    occupied = []
    for spin, channel in enumerate(channels * (2 // len(channels))):
        least = spin if len(channels) == 1 else 0
        codes = irrep_codes(channel.irreps, field.group, channel.size)
        occupied.append(codes[channel.occupation > least])
    target = int(np.bitwise_xor.reduce(np.concatenate(occupied), initial=0))
    if integrals.reference_irrep == target:
        return integrals
    better = lowest_determinant(integrals, integrals.reference_occupation, target)
    return replace(integrals, reference_occupation=better)


def _with_references(
    integrals: MolecularIntegrals,
    info: SystemInfo,
    field: MeanField,
    properties: OrbitalProperties,
    spec: MoleculeSpec,
) -> Molecule:
    energies: dict[str, float | None] = {"hf": field.energy}
    notes: dict[str, str] = {}
    if spec.references:
        from hamiltonians.molecule.references import failures, reference_energies

        energies, notes = reference_energies(integrals, fci_limit=spec.fci_limit)
        energies["hf"] = field.energy
        notes.pop("hf", None)
        info = replace(info, warnings=(*info.warnings, *failures(notes)))
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
    chosen: _Chosen,
    natural: FrozenNaturalOrbitals,
    spec: MoleculeSpec,
    integrals: MolecularIntegrals,
) -> Truncation:
    """Describe what was left out, with references of the whole basis where references are wanted."""
    from hamiltonians.molecule.references import reference_energies, second_order_energy

    core, whole = chosen.core, chosen.whole
    references: dict[str, float | None] = {"hf": field.energy}
    notes: dict[str, str] = {}
    active = whole.take(np.arange(core[0].size, whole.size))
    if spec.references and natural.n_kept < natural.occupations.size:
        if active.size <= _MOST_FOR_REFERENCES:
            references, notes = reference_energies(
                _integrals(field, core, (active,)), fci_limit=spec.fci_limit
            )
        else:
            notes = dict.fromkeys(("ccsd", "ccsd_t", "fci"), f"more than {_MOST_FOR_REFERENCES} orbitals")
    return Truncation(
        density=spec.fno_density,
        threshold=None if spec.fno_threshold is None else float(spec.fno_threshold),
        most=None if spec.fno_virtuals is None else int(spec.fno_virtuals),
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

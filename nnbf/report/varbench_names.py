"""The Hamiltonian of a run as data: its definition, and the energy at infinite temperature."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hamiltonians.errors import InputError
from nnbf.report.reading import RunRecord

OF_MOLECULES = (
    "Tr H / dim over all determinants with the same alpha and beta electrons in the same orbitals (frozen "
    "orbitals stay filled), from the integrals"
)
OF_LATTICES = "Tr H / dim over all configurations with the same particles"

_MOLECULE_KEYS = (
    "formula",
    "name",
    "charge",
    "two_S",
    "basis",
    "ecp",
    "orbitals",
    "reference_method",
    "n_electrons",
    "n_orbitals",
    "n_frozen_core",
    "active_space",
    "point_group",
    "fci_dimension",
    "source",
)
_LETTERS = {"pbc": "P", "apbc": "A", "open": "O"}


@dataclass(frozen=True)
class InfiniteTemperature:
    """E_inf, where the V-score measures energies from (Wu et al., Science 386, 296 (2024))."""

    energy: float | None
    """Its value in the unit of the run; None where it cannot be computed."""
    definition: str
    """Definition, or the reason why it is missing."""


@dataclass(frozen=True)
class IntegralFacts:
    """The integrals of a molecule, in brief."""

    infinite_temperature: float
    """E_inf, in Hartree."""
    record: Mapping[str, Any]
    """File, its digest, constant and sizes."""


def infinite_temperature(run: RunRecord, integrals: IntegralFacts | str) -> InfiniteTemperature:
    """Return E_inf of the Hamiltonian of a run: the mean of its diagonal over the sector of its particles.

    Args:
        run: The run.
        integrals: Those of a molecule; see `read_integrals`.
    """
    if run.is_lattice:
        from hamiltonians import Lattice

        system = run.system
        try:
            return InfiniteTemperature(Lattice.from_dict(system).infinite_temperature_energy, OF_LATTICES)
        except InputError as error:
            return InfiniteTemperature(None, f"unknown: the model is not described ({error})")
    if isinstance(integrals, str):
        return InfiniteTemperature(None, f"unknown: {integrals}")
    return InfiniteTemperature(integrals.infinite_temperature, OF_MOLECULES)


def degrees_of_freedom(run: RunRecord) -> int | None:
    """Return the number of particles (electrons that are not frozen), as VarBench counts."""
    system = run.system
    if run.is_lattice:
        particles = system.get("particles")
        return sum(particles) if particles else None
    return system.get("n_electrons")


def hamiltonian_record(run: RunRecord, integrals: IntegralFacts | str) -> dict[str, Any]:
    """Return the definition of the Hamiltonian: geometry and basis, or lattice, boundary and interaction."""
    system = run.system
    if run.is_lattice:
        spinless = system.get("kind") == "tv"
        return {
            "kind": "lattice",
            "model": "t-V" if spinless else "extended Hubbard" if system.get("V") else "Hubbard",
            "formula": _lattice_formula(spinless),
            "lattice": system.get("geometry"),
            "size": system.get("size"),
            "size_unit": "unit cells",
            "boundary": system.get("boundary"),
            "particles": system.get("particles"),
            "t": system.get("t"),
            "t_prime": system.get("t_prime"),
            "U": system.get("U"),
            "V": system.get("V"),
            "varbench_file": varbench_file(system),
        }
    atoms = [[symbol, list(position)] for symbol, position in system.get("atoms") or ()]
    return {
        "kind": "molecule",
        "formula_of_hamiltonian": "E_0 + sum h_pq a+_p a_q + 1/2 sum (pq|rs) a+_p a+_r a_s a_q",
        **{key: system.get(key) for key in _MOLECULE_KEYS},
        "geometry": atoms or None,
        "geometry_unit": "angstrom",
        "integrals": None if isinstance(integrals, str) else dict(integrals.record),
    }


def varbench_file(system: Mapping[str, Any]) -> str | None:
    """Return the name of a lattice model in VarBench, such as "tV/square_4_PP_5_1.md".

    Its naming: lattice, extent, boundaries (P periodic, A antiperiodic, O open), particles, interaction.
    None for models that it has no name for: other twists, t or t' other than 1 and 0, U and V together,
    honeycombs.
    """
    boundary = system.get("boundary") or ()
    if not all(isinstance(b, str) and b in _LETTERS for b in boundary) or len(boundary) != 2:
        return None
    geometry = str(system.get("geometry"))
    if geometry not in ("square", "triangular") or (system.get("t"), system.get("t_prime")) != (1.0, 0.0):
        return None
    first, second = system["size"]
    extent = f"{geometry}_{first}"
    if first != second:
        extent = f"{'rectangular' if geometry == 'square' else geometry}_{first}x{second}"
    letters = "".join(_LETTERS[b] for b in boundary)
    particles = "_".join(map(str, system["particles"]))
    if system["kind"] == "tv":
        return f"tV/{extent}_{letters}_{particles}_{system['V']:g}.md"
    return None if system.get("V") else f"Hubbard/{extent}_{letters}_{particles}_{system['U']:g}.md"


def _lattice_formula(spinless: bool) -> str:
    if spinless:
        return "-t sum_<ij> (c+_i c_j + h.c.) - t' sum_<<ij>> (c+_i c_j + h.c.) + V sum_<ij> n_i n_j"
    return (
        "-t sum_<ij>s (c+_is c_js + h.c.) - t' sum_<<ij>>s (c+_is c_js + h.c.) + U sum_i n_i,up n_i,down "
        "+ V sum_<ij> n_i n_j"
    )


def read_integrals(path: Path) -> IntegralFacts | str:
    """Return the integrals in a file in brief, or why there are none."""
    if not path.is_file():
        return "the run folder has no system.npz"
    from hamiltonians import Molecule, load_problem

    try:
        integrals = load_problem(path, Molecule).integrals
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except (InputError, OSError) as error:
        return f"system.npz cannot be read ({error})"
    return IntegralFacts(
        integrals.infinite_temperature_energy,
        {
            "file": path.name,
            "sha256": digest,
            "constant": integrals.constant,
            "n_orbitals": integrals.n_orbitals,
            "n_alpha": integrals.n_alpha,
            "n_beta": integrals.n_beta,
        },
    )

"""The Hamiltonian of a run as data: its definition, and the energy at infinite temperature."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError

if TYPE_CHECKING:
    from nnbf.report.reading import RunRecord

OF_MOLECULES = (
    "Tr H / dim over all determinants with the same alpha and beta electrons in the same orbitals (frozen "
    "orbitals stay filled), from the integrals"
)
OF_LATTICES = "Tr H / dim over all configurations with the same particles"

_MOLECULE_KEYS = (
    "formula", "name", "charge", "two_S", "basis", "ecp", "orbitals", "reference_method", "n_electrons",
    "n_orbitals", "n_frozen_core", "active_space", "point_group", "fci_dimension", "source",
)  # fmt: skip
_LATTICE_KEYS = ("boundary", "particles", "t", "t_prime", "U", "V")
_LETTERS = {"pbc": "P", "apbc": "A", "open": "O"}


@dataclass(frozen=True)
class HamiltonianFacts:
    """The Hamiltonian of a run in brief."""

    infinite_temperature: float | None
    """E_inf, where the V-score measures energies from (Wu et al., Science 386, 296 (2024)), in the unit of
    the run; None where it cannot be computed."""
    definition: str
    """Its definition, or the reason why it is missing."""
    integrals: Mapping[str, Any] | None = None
    """File, digest, constant and sizes of the integrals of a molecule."""


def hamiltonian_facts(run: "RunRecord") -> HamiltonianFacts:
    """Return E_inf of a run, the mean of the diagonal over the sector of its particles, and its integrals."""
    from hamiltonians import Lattice, Molecule, load_problem

    if run.is_lattice:
        try:
            return HamiltonianFacts(Lattice.from_dict(run.system).infinite_temperature_energy, OF_LATTICES)
        except InputError as error:
            return HamiltonianFacts(None, f"unknown: the model is not described ({error})")
    if not run.is_molecule:
        return HamiltonianFacts(None, "unknown: not known of this kind of problem")
    path = run.path / "system.npz"
    if not path.is_file():
        return HamiltonianFacts(None, f"unknown: the run folder has no {path.name}")
    try:
        integrals = load_problem(path, Molecule).integrals
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except (InputError, OSError) as error:
        return HamiltonianFacts(None, f"unknown: {path.name} cannot be read ({error})")
    sizes = {key: getattr(integrals, key) for key in ("constant", "n_orbitals", "n_alpha", "n_beta")}
    record = {"file": path.name, "sha256": digest, **sizes}
    return HamiltonianFacts(integrals.infinite_temperature_energy, OF_MOLECULES, record)


def hamiltonian_record(run: "RunRecord") -> dict[str, Any]:
    """Return the definition of the Hamiltonian: geometry and basis, lattice and interaction, or fields."""
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
            **{key: system.get(key) for key in _LATTICE_KEYS},
            "varbench_file": varbench_file(system),
        }
    if not run.is_molecule:
        return dict(system)
    atoms = [[symbol, list(position)] for symbol, position in system.get("atoms") or ()]
    return {
        "kind": "molecule",
        "formula_of_hamiltonian": "E_0 + sum h_pq a+_p a_q + 1/2 sum (pq|rs) a+_p a+_r a_s a_q",
        **{key: system.get(key) for key in _MOLECULE_KEYS},
        "geometry": atoms or None,
        "geometry_unit": "angstrom",
        "integrals": run.hamiltonian.integrals,
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

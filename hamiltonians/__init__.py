"""Hamiltonians of electrons: molecules, FCIDUMP files, lattices and what other packages hold.

Nothing here needs PySCF, OpenFermion or NetKet until a function that uses them is called, so a saved
system can be loaded and solved without them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError
from hamiltonians.geometry import Geometry, read_geometry
from hamiltonians.integrals import MolecularIntegrals, determinant_irrep, irrep_bits
from hamiltonians.lattice import LatticeModel
from hamiltonians.library import bundled_molecules
from hamiltonians.properties import DEBYE, OrbitalProperties

# Not lazily: the function has the name of its module.
from hamiltonians.space_group import Sector, SpaceGroup, all_sectors, move_configurations, space_group
from hamiltonians.system import MolecularSystem, SystemInfo, load_system
from hamiltonians.truncation import Truncation

if TYPE_CHECKING:
    from hamiltonians.active_space import parse_active_space
    from hamiltonians.alignment import Alignment, align_orbitals
    from hamiltonians.determinant import determinant_energy, lowest_determinant
    from hamiltonians.exact_lattice import ExactLevels, exact_levels, is_affordable
    from hamiltonians.fci import fci_energy_of_integrals
    from hamiltonians.fcidump import read_fcidump, write_fcidump
    from hamiltonians.lattice_operators import (
        lattice_configurations,
        lattice_to_fermion_operator,
        lattice_to_netket,
        lattice_to_sparse,
    )
    from hamiltonians.molecule import build_molecule
    from hamiltonians.netket import to_netket
    from hamiltonians.openfermion import (
        from_fermion_operator,
        from_interaction_operator,
        from_molecular_data,
        to_fermion_operator,
        to_interaction_operator,
        to_molecular_data,
    )
    from hamiltonians.references import reference_energies, with_references

_LAZY = {
    "build_molecule": "molecule",
    "Alignment": "alignment",
    "align_orbitals": "alignment",
    "parse_active_space": "active_space",
    "reference_energies": "references",
    "with_references": "references",
    "fci_energy_of_integrals": "fci",
    "determinant_energy": "determinant",
    "lowest_determinant": "determinant",
    "read_fcidump": "fcidump",
    "write_fcidump": "fcidump",
    "to_netket": "netket",
    "from_fermion_operator": "openfermion",
    "from_interaction_operator": "openfermion",
    "from_molecular_data": "openfermion",
    "to_fermion_operator": "openfermion",
    "to_interaction_operator": "openfermion",
    "to_molecular_data": "openfermion",
    "lattice_configurations": "lattice_operators",
    "lattice_to_fermion_operator": "lattice_operators",
    "lattice_to_netket": "lattice_operators",
    "lattice_to_sparse": "lattice_operators",
    "ExactLevels": "exact_lattice",
    "exact_levels": "exact_lattice",
    "is_affordable": "exact_lattice",
}

__all__ = [
    "DEBYE",
    "Alignment",
    "ExactLevels",
    "Geometry",
    "InputError",
    "LatticeModel",
    "MolecularIntegrals",
    "MolecularSystem",
    "OrbitalProperties",
    "Sector",
    "SpaceGroup",
    "SystemInfo",
    "Truncation",
    "align_orbitals",
    "all_sectors",
    "build_molecule",
    "bundled_molecules",
    "determinant_energy",
    "determinant_irrep",
    "exact_levels",
    "fci_energy_of_integrals",
    "from_fermion_operator",
    "from_interaction_operator",
    "from_molecular_data",
    "irrep_bits",
    "is_affordable",
    "lattice_configurations",
    "lattice_to_fermion_operator",
    "lattice_to_netket",
    "lattice_to_sparse",
    "load_system",
    "lowest_determinant",
    "move_configurations",
    "parse_active_space",
    "read_fcidump",
    "read_geometry",
    "reference_energies",
    "space_group",
    "to_fermion_operator",
    "to_interaction_operator",
    "to_molecular_data",
    "to_netket",
    "with_references",
    "write_fcidump",
]


def __getattr__(name: str) -> Any:
    """Import what is rarely used, or needs another package, on first use."""
    if name in _LAZY:
        return getattr(import_module(f"hamiltonians.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'hamiltonians' has no attribute {name!r}")

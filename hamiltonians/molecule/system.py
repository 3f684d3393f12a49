"""A molecular system ready to be solved: integrals, what they describe, and reference energies."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from hamiltonians.errors import InputError
from hamiltonians.integrals import MolecularIntegrals
from hamiltonians.molecule.geometry import Atoms
from hamiltonians.molecule.properties import OrbitalProperties
from hamiltonians.molecule.truncation import Truncation

REFERENCE_METHODS = ("hf", "mp2", "ccsd", "ccsd_t", "fci")
"""Keys of `MolecularSystem.references`."""


@dataclass(frozen=True)
class SystemInfo:
    """What a set of integrals describes, for reports and for building it again."""

    formula: str = ""
    """Formula in Hill's order; empty where unknown."""
    name: str = ""
    """Bundled name, file stem or formula."""
    basis: str = ""
    """Basis set; empty where unknown."""
    charge: int = 0
    """Total charge."""
    two_S: int = 0
    """Number of unpaired electrons, 2S."""
    reference_method: str = ""
    """Mean field behind the orbitals: "RHF", "ROHF", "UHF", "fcidump" or "openfermion"."""
    orbitals: str = ""
    """Kind of orbitals: "canonical", "mp2-natural", "canonical, mp2 frozen natural", "boys", "avas", ... """
    n_frozen_core: int = 0
    """Number of doubly occupied orbitals folded into the constant and one-body part."""
    active_space: tuple[int, int] | None = None
    """(electrons, orbitals) where this is less than the whole molecule, else None."""
    atoms: Atoms = ()
    """(symbol, (x, y, z)) of every atom, in Angstrom."""
    point_group: str = ""
    """Full point group of the nuclei (such as "Dooh"); empty where unknown."""
    ecp: tuple[tuple[str, str], ...] = ()
    """(element, effective core potential) of the elements that have one."""
    scf_converged: bool = True
    """Whether the mean field converged."""
    source: str = ""
    """Where the integrals came from: the molecule as given, or a file name."""
    warnings: tuple[str, ...] = ()
    """What the user should know before trusting a result."""


@dataclass(frozen=True, eq=False)
class MolecularSystem:
    """Integrals with their description and the reference energies computed from them."""

    integrals: MolecularIntegrals
    """The Hamiltonian."""
    info: SystemInfo = field(default_factory=SystemInfo)
    """What it describes."""
    references: Mapping[str, float | None] = field(default_factory=dict)
    """Energies in Hartree under "hf", "mp2", "ccsd", "ccsd_t", "fci"; None where not computed."""
    reference_notes: Mapping[str, str] = field(default_factory=dict)
    """What to know about a reference: why it is missing, or what exactly it is."""
    properties: OrbitalProperties | None = None
    """Dipole integrals and overlaps of the orbitals; None where unknown, as for FCIDUMP files."""
    truncation: Truncation | None = None
    """Virtual natural orbitals that were left out, and the correction for them; None where none were."""

    def __post_init__(self) -> None:
        """Complete the references, freeze the mappings, check the properties."""
        if self.properties is not None:
            self.properties.check(self.integrals.n_orbitals, self.integrals.is_spin_resolved)
        unknown = set(self.references) - set(REFERENCE_METHODS)
        if unknown:
            raise InputError(
                f"reference {sorted(unknown)[0]!r} is unknown: give {', '.join(REFERENCE_METHODS)}"
            )
        energies = {key: self.references.get(key) for key in REFERENCE_METHODS}
        object.__setattr__(self, "references", MappingProxyType(energies))
        notes = {str(key): str(text) for key, text in self.reference_notes.items()}
        object.__setattr__(self, "reference_notes", MappingProxyType(notes))

    def save(self, path: str | Path) -> Path:
        """Write the system to an .npz or .h5 file, atomically; see `load_system`.

        Raises:
            InputError: The suffix is neither .npz nor .h5, or the folder cannot be written.
        """
        from hamiltonians.storage import save_system

        return save_system(self, path)


def load_system(path: str | Path) -> MolecularSystem:
    """Read a system that `MolecularSystem.save` wrote; needs no chemistry package.

    Raises:
        InputError: There is no such file, or it is damaged or of another kind.
    """
    from hamiltonians.storage import load_system as load

    return load(path)

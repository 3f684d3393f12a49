"""What to solve, as plain data: the fields are the options of the command line and of config files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from hamiltonians.errors import InputError
from hamiltonians.storage import SUFFIXES

if TYPE_CHECKING:
    from hamiltonians import Molecule


class Problem(Protocol):
    """Something a Hamiltonian can be built from."""

    def build(self, *, references: bool = True) -> "Molecule":
        """Return the system; with `references` False, only HF beside it."""
        ...


@dataclass(frozen=True)
class MoleculeProblem:
    """A molecule in a basis set."""

    molecule: str
    """Bundled name (N2, H2O, ...), path to an .xyz file, text such as "N 0 0 0; N 0 0 1.1", or a chain or
    ring with its spacing ("H10-chain-1.8", "H6-ring-1.0")."""
    basis: str = "sto-3g"
    """Basis set; one for each element as "N=cc-pvtz,H=cc-pvdz"."""
    charge: int | None = None
    """Total charge; left out: as the geometry states, else 0."""
    spin: int | None = None
    """2S, the number of unpaired electrons; left out: as the geometry states, else the lowest."""
    reference: Literal["auto", "rhf", "rohf", "uhf"] = "auto"
    """Mean field behind the orbitals; auto: RHF for singlets, else ROHF."""
    ecp: str = "auto"
    """Effective core potential: auto (the one that belongs to the basis), none, or a name."""
    unit: Literal["angstrom", "bohr"] = "angstrom"
    """Unit of coordinates given as text and of spacings; .xyz files are in angstrom."""
    frozen_core: bool | int = False
    """Freeze the chemical core (auto, or the option alone) or this many orbitals."""
    active_space: str | None = None
    """"6,6" (electrons, orbitals), "energy:-1.0,1.0" (Hartree), "orbitals:2-7,9" or "avas:N 2p"."""
    orbitals: Literal["canonical", "mp2-natural", "ccsd-natural", "boys", "pipek-mezey"] = "canonical"
    """Orbitals the Hamiltonian is written in."""
    fno_threshold: float | None = None
    """Frozen natural orbitals: leave out virtual natural orbitals with a smaller occupation, such as
    1e-4; the energy is then corrected at MP2 level, beside the headline."""
    fno_virtuals: int | None = None
    """Keep at most this many virtual natural orbitals."""
    fno_density: Literal["mp2", "ccsd"] = "mp2"
    """Density that gives the frozen natural orbitals."""
    symmetry: bool = True
    """Adapt orbitals to the point group."""
    references: bool = True
    """Compute MP2, CCSD, CCSD(T) and FCI, where affordable, beside HF."""
    fci_limit: int = 5_000_000
    """Largest number of determinants for which FCI is computed."""

    def build(self, *, references: bool = True) -> "Molecule":
        """Run Hartree-Fock and transform the integrals.

        Args:
            references: False leaves out everything but HF, whatever the field says.

        Raises:
            InputError: The molecule, basis or any option makes no sense.
        """
        from hamiltonians import build_molecule

        return build_molecule(
            self.molecule,
            _basis_by_element(self.basis),
            charge=self.charge,
            spin=self.spin,
            reference=self.reference,
            ecp={"auto": None, "none": False}.get(self.ecp.casefold(), self.ecp),
            unit=self.unit,
            frozen_core=self.frozen_core,
            active_space=self.active_space,
            orbitals=self.orbitals,
            fno_threshold=self.fno_threshold,
            fno_virtuals=self.fno_virtuals,
            fno_density=self.fno_density,
            symmetry=self.symmetry,
            compute_references=self.references and references,
            fci_limit=self.fci_limit,
        )


@dataclass(frozen=True)
class FileProblem:
    """Integrals from a file."""

    file: str
    """FCIDUMP file, or a system saved as .npz or .h5 (such as system.npz of another run)."""
    references: bool = True
    """Compute HF, MP2, CCSD, CCSD(T) and FCI, where affordable (saved systems keep theirs)."""
    fci_limit: int = 5_000_000
    """Largest number of determinants for which FCI is computed."""

    def build(self, *, references: bool = True) -> "Molecule":
        """Read the file.

        Args:
            references: False leaves out everything that has to be computed.

        Raises:
            InputError: There is no such file, or its content makes no sense.
        """
        path = Path(self.file).expanduser()
        if path.suffix.casefold() in SUFFIXES:
            from hamiltonians import Molecule, load_problem

            return load_problem(path, Molecule)
        from hamiltonians import read_fcidump

        return read_fcidump(path, compute_references=self.references and references, fci_limit=self.fci_limit)


def _basis_by_element(text: str) -> str | Mapping[str, str]:
    if "=" not in text:
        return text
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(element.strip() and name.strip() for element, _, name in pairs):
        raise InputError(f'basis {text!r} is not understood: give a name, or "N=cc-pvtz,H=cc-pvdz"')
    return {element.strip().capitalize(): name.strip() for element, _, name in pairs}

"""A molecule as it is asked for: geometry, basis, orbitals, space; `build_molecule` makes its Hamiltonian."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from hamiltonians.errors import InputError

if TYPE_CHECKING:
    from hamiltonians.molecule.system import Molecule

FCI_LIMIT = 5_000_000
"""Determinants up to which FCI is computed, unless another number is given."""
_DEFAULT_BASIS = "sto-3g"


@dataclass(frozen=True)
class MoleculeSpec:
    """A molecule in a basis set: all that `build_molecule` takes.

    The types are those of texts, as on a command line. From Python `molecule` may also be a path or a
    `Geometry`, `basis` and `ecp` mappings by element, and `active_space` what `parse_active_space` returns.
    """

    molecule: str
    """Bundled name (N2, H2O, ...), path to an .xyz file, text such as "N 0 0 0; N 0 0 1.1", or a chain or
    ring with its spacing ("H10-chain-1.8", "H6-ring-1.0")."""
    basis: str = _DEFAULT_BASIS
    """Basis set; or one for elements, labelled atoms and the rest: "N=cc-pvtz,H1=cc-pvdz,default=sto-3g"."""
    basis_file: str | None = None
    """File with basis sets (and potentials) in the format of NWChem or Gaussian: elements that it has are
    taken from it, unless basis names them; others have basis, which is to be given then."""
    charge: int | None = None
    """Total charge; left out: as the geometry states, else 0."""
    spin: int | None = None
    """2S, the number of unpaired electrons; left out: as the geometry states, else the lowest."""
    reference: Literal["auto", "rhf", "rohf", "uhf"] = "auto"
    """Mean field behind the orbitals; auto: RHF for singlets, else ROHF."""
    stable: bool = False
    """Follow instabilities of the mean field to a stable solution; with uhf the spins may part."""
    ecp: str = "auto"
    """Effective core potential: auto (the one that belongs to the basis), none, or a name."""
    unit: Literal["angstrom", "bohr"] = "angstrom"
    """Unit of coordinates given as text or in an .xyz file, and of spacings."""
    frozen_core: bool | int = False
    """Freeze the chemical core (auto, or the option alone) or this many orbitals."""
    active_space: str | None = None
    """"6,6" (electrons, orbitals), "energy:-1.0,1.0" (Hartree), "orbitals:2-7,9" or "avas:N 2p"."""
    orbitals: Literal["canonical", "mp2-natural", "ccsd-natural", "boys", "pipek-mezey", "lowdin"] = (
        "canonical"
    )
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
    fci_limit: int = FCI_LIMIT
    """Largest number of determinants for which FCI is computed."""

    def build(self, *, references: bool = True) -> "Molecule":
        """Run Hartree-Fock and transform the integrals; without `references` HF is the only reference.

        Raises:
            InputError: The molecule, basis or any option makes no sense.
        """
        from hamiltonians.molecule.build import build_molecule

        require_references(self)
        return build_molecule(self, references=self.references and references)

    @property
    def is_truncated(self) -> bool:
        """True where frozen natural orbitals are asked for."""
        return self.fno_threshold is not None or self.fno_virtuals is not None

    @property
    def basis_sets(self) -> str | Mapping[str, str]:
        """One basis set for all elements, or {element: name}; with a file the default is none."""
        if self.basis_file is not None and self.basis == _DEFAULT_BASIS:
            return {}
        if not isinstance(self.basis, str) or "=" not in self.basis:
            return self.basis
        parts = re.split(r",(?![^()]*\))", self.basis)  # not within 6-31G(d,p)
        pairs = [part.partition("=") for part in parts]
        if not all(element.strip() and name.strip() for element, _, name in pairs):
            raise InputError(
                f'basis {self.basis[:60]!r} is not understood: give a name, or "N=cc-pvtz,H=cc-pvdz"'
            )
        return {element.strip().capitalize(): name.strip() for element, _, name in pairs}

    @property
    def potentials(self) -> str | bool | Mapping[str, str] | None:
        """Effective core potentials: None for those that belong to the basis, False for none, or names."""
        if not isinstance(self.ecp, str):
            return self.ecp
        return {"auto": None, "none": False}.get(self.ecp.casefold(), self.ecp)


def require_references(spec: Any) -> None:
    """Refuse a limit of FCI where no references are wanted.

    Raises:
        InputError: It is given.
    """
    if not spec.references and spec.fci_limit != FCI_LIMIT:
        raise InputError("fci_limit has no effect without references: leave it out")

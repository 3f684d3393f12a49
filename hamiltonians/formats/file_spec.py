"""Integrals of a molecule in a file of any format, as they are asked for."""

from dataclasses import dataclass
from pathlib import Path

from hamiltonians.molecule.system import Molecule
from hamiltonians.problem import load_problem
from hamiltonians.storage import SUFFIXES


@dataclass(frozen=True)
class FileSpec:
    """Integrals from a file."""

    file: str
    """FCIDUMP file, or a system saved as .npz or .h5 (such as system.npz of another run)."""
    references: bool = True
    """Compute HF, MP2, CCSD, CCSD(T) and FCI, where affordable (saved systems keep theirs)."""
    fci_limit: int = 5_000_000
    """Largest number of determinants for which FCI is computed."""

    def build(self, *, references: bool = True) -> Molecule:
        """Read the file.

        Args:
            references: False leaves out everything that has to be computed.

        Raises:
            InputError: There is no such file, or its content makes no sense.
        """
        path = Path(self.file).expanduser()
        if path.suffix.casefold() in SUFFIXES:
            return load_problem(path, Molecule)
        from hamiltonians.formats.fcidump import read_fcidump

        return read_fcidump(path, references=self.references and references, fci_limit=self.fci_limit)

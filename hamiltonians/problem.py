"""Problems of any kind: the protocol that molecules and lattices share, and files of both.

A new Hamiltonian is a class with this protocol and a line in `FORMATS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, Self, overload

import numpy as np

from hamiltonians.errors import InputError
from hamiltonians.storage import read_archive, write_archive

FORMATS = {
    "molecular-system": "hamiltonians.molecule.system:Molecule",
    "lattice": "hamiltonians.lattice.model:Lattice",
}
"""Class of every format of saved problems, as module:class."""
VERSION = 1
"""Version of all formats."""


class SectorLabel(Protocol):
    """Quantum numbers of a symmetry sector."""

    @property
    def momentum(self) -> tuple[int, int] | None:
        """(mx, my) in units of 2 pi / L; None where there is none."""

    @property
    def irrep(self) -> str | None:
        """Name of the irrep; None where it is not resolved."""

    @property
    def spin_flip(self) -> int | None:
        """+1 for even total spin, -1 for odd; None where it is not resolved."""

    @property
    def label(self) -> str:
        """Short name."""


@dataclass(frozen=True)
class PlainSector:
    """A sector of a problem without translations: an irrep of determinants, or the whole space."""

    irrep: str | None = None
    """Name of the irrep; None for the whole space."""
    momentum: None = None
    """There is none."""
    spin_flip: None = None
    """Not resolved."""

    @property
    def label(self) -> str:
        """Name of the irrep, or `all`."""
        return self.irrep or "all"


class Problem(Protocol):
    """A Hamiltonian at fixed particle numbers, complete enough to be solved and saved."""

    @property
    def kind(self) -> str:
        """Family of Hamiltonians: `molecule`, `tv`, `hubbard`."""

    @property
    def format(self) -> str:
        """Tag in files, a key of `FORMATS`."""

    @property
    def unit(self) -> str:
        """Unit of energies: `Hartree` or `t`."""

    @property
    def title(self) -> str:
        """One line for people."""

    @property
    def n_modes(self) -> int:
        """Fermionic modes, the bits of a configuration: all up, then all down."""

    @property
    def particles(self) -> tuple[int, ...]:
        """Particles of each spin."""

    @property
    def references(self) -> Mapping[str, float | None]:
        """Energies of other methods, by method; None where not computed."""

    def sectors(self) -> tuple[SectorLabel, ...]:
        """Return the symmetry sectors that have states."""

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return a header of plain values and arrays from which `from_arrays` makes the same problem."""

    @classmethod
    def from_arrays(cls, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Return the problem of `to_arrays`."""

    def save(self, path: str | Path) -> Path:
        """Write the problem to a file; see `save_problem`."""


def save_problem(problem: Problem, path: str | Path) -> Path:
    """Write a problem to an .npz or .h5 file, atomically; `load_problem` reads it.

    Raises:
        InputError: The suffix is neither .npz nor .h5, or the folder cannot be written.
    """
    header, arrays = problem.to_arrays()
    return write_archive(path, {"format": problem.format, "version": VERSION, **header}, arrays)


@overload
def load_problem(path: str | Path) -> Any: ...
@overload
def load_problem[P](path: str | Path, wanted: type[P]) -> P: ...
def load_problem(path: str | Path, wanted: type | None = None) -> Any:
    """Read a problem that was saved; needs no chemistry package.

    Args:
        path: File of any kind of problem.
        wanted: Class that it must have; None for any.

    Raises:
        InputError: There is no such file, or it is damaged or of another kind.
    """

    def made(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
        found = header.get("format")
        if found not in FORMATS:
            raise InputError(f"this holds a {found!r}, of which this program knows nothing: update it")
        module, name = FORMATS[found].split(":")
        kind = getattr(import_module(module), name)
        if wanted is not None and not issubclass(kind, wanted):
            raise InputError(f"this holds a {name}, not a {wanted.__name__}")
        return kind.from_arrays(header, arrays)

    return read_archive(path, made, VERSION)

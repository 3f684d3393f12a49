"""Problems of any kind: the protocol that molecules and lattices share, their registry, and files of all.

A new kind of problem is a class with this protocol, decorated with `register_problem`.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, Self, overload

import numpy as np

from hamiltonians.errors import InputError
from hamiltonians.plugins import registered
from hamiltonians.storage import read_archive, write_archive

VERSION = 1
"""Version of all formats."""

_OWN = ("hamiltonians.molecule.system", "hamiltonians.lattice.model")  # imported when a file needs them
_CLASSES: dict[str, Any] = {}


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
        """Tag in files, the name that the class is registered under."""

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


class DataProblem:
    """Base of problems that their own fields describe: frozen data classes of plain values and tuples.

    A subclass has fields with defaults, and `hamiltonian`; everything else follows::

        @register_problem("ising")
        @dataclass(frozen=True)
        class Ising(DataProblem):
            n_sites: int = 8

            def hamiltonian(self): ...
    """

    format: ClassVar[str]
    """Tag in files: set by `register_problem`."""
    unit: ClassVar[str] = "1"
    """Unit of energies."""

    def hamiltonian(self) -> Any:
        """Return the operator, with `hilbert`, `diagonal` and `connections` (`nnbf.Hamiltonian`)."""
        raise NotImplementedError(f"{type(self).__name__} has no hamiltonian")

    @property
    def kind(self) -> str:
        """Family of Hamiltonians: the tag."""
        return self.format

    @property
    def title(self) -> str:
        """Name and values of the fields."""
        values: dict[str, Any] = asdict(self)  # type: ignore[call-overload]
        return " ".join([self.format, *(f"{name}={_shown(value)}" for name, value in values.items())])

    @property
    def n_modes(self) -> int:
        """Bits of a configuration."""
        return self.hamiltonian().hilbert.size

    @property
    def particles(self) -> tuple[int, ...]:
        """Particles of each spin; none where they are not conserved."""
        return ()

    @property
    def references(self) -> Mapping[str, float | None]:
        """Energies of other methods, by method; none."""
        return MappingProxyType({})

    def sectors(self) -> tuple[PlainSector, ...]:
        """Return the whole space."""
        return (PlainSector(),)

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return the fields as a header, and no arrays."""
        return {"fields": asdict(self)}, {}  # type: ignore[call-overload]

    @classmethod
    def from_arrays(cls, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Return the problem of `to_arrays`."""
        return cls(**{name: _with_tuples(value) for name, value in header["fields"].items()})

    def save(self, path: str | Path) -> Path:
        """Write the problem to a file; see `save_problem`."""
        return save_problem(self, path)


def _shown(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _with_tuples(value: Any) -> Any:
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def register_problem[C: type](name: str) -> Callable[[C], C]:
    """Decorator that makes problems of a class storable under a name.

    Args:
        name: Tag in files, `format`; never to be changed once there are files.

    Raises:
        ValueError: Another class has the name.
        TypeError: The class has no `from_arrays`.
    """

    def registered_class(cls: C) -> C:
        known = _CLASSES.get(name)
        # A module that is imported again defines the same class once more.
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"the name {name!r} is taken by {known.__module__}.{known.__qualname__}")
        if not hasattr(cls, "from_arrays"):
            raise TypeError(f"{cls.__name__} is no problem: derive it from DataProblem")
        cls.format = name  # type: ignore[attr-defined]
        _CLASSES[name] = cls
        return cls

    return registered_class


def problem_class(name: object) -> Any:
    """Return the class that is registered under a name.

    Raises:
        InputError: None is: a plug-in may have to be given.
    """
    for module in _OWN:
        import_module(module)
    return registered(name, _CLASSES, "kind of problem")


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
        kind = problem_class(header.get("format"))
        if wanted is not None and not issubclass(kind, wanted):
            raise InputError(f"this holds a {kind.__name__}, not a {wanted.__name__}")
        return kind.from_arrays(header, arrays)

    return read_archive(path, made, VERSION)

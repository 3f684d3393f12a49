"""Methods by name, for molecules and lattices alike: options of each, and the function that makes a level.

A method is a function from a :class:`Task` to a :class:`~nnbf.drivers.level.Level`. Modules are loaded when
they are needed, so that options can be read, and refused, without waiting for NetKet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError

if TYPE_CHECKING:
    from hamiltonians import Sector
    from nnbf.drivers.level import Level
    from nnbf.drivers.monitor import Monitor

OPTIONS = {
    "molecule": ("nnbf.drivers.options", "SolverOptions"),
    "lattice": ("nnbf.drivers.lattice_options", "LatticeOptions"),
}
"""Data classes of the options by kind of problem: module and name."""


@dataclass(frozen=True, eq=False)
class Task:
    """One level to be found."""

    problem: Any
    """What is solved."""
    options: Any
    """How: an instance of the class in `OPTIONS`."""
    monitor: "Monitor"
    """Rows, stop requests, deadline, checkpoints."""
    sector: "Sector | None" = None
    """Symmetry sector of a lattice."""
    model: Any = None
    """Network instead of that of the options."""
    optimizer: Any = None
    """Optimiser instead of that of the options."""
    start: Any = None
    """State to start from."""
    lower: "tuple[Level, ...]" = ()
    """Levels of the sector that the new one is orthogonal to."""


@dataclass(frozen=True)
class Method:
    """A way to find a level."""

    name: str
    """Name in options and files."""
    runs: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Module and name of the function from a task to a level, by kind of problem."""

    def level(self, kind: str, task: Task) -> "Level":
        """Find a level.

        Raises:
            InputError: The method is not one for this kind of problem.
        """
        if kind not in self.runs:
            raise InputError(f"method {self.name} is not one for a {kind}: {', '.join(names(kind))} are")
        return _load(self.runs[kind])(task)


METHODS = {
    method.name: method
    for method in (
        Method(
            "selected",
            {"molecule": ("nnbf.drivers.selected_space", "selected_level")},
        ),
        Method(
            "full-sum",
            {
                "molecule": ("nnbf.drivers.selected_space", "full_sum_level"),
                "lattice": ("nnbf.drivers.sector_sum", "full_sum_level"),
            },
        ),
        Method(
            "vmc",
            {
                "molecule": ("nnbf.drivers.molecular_sampling", "vmc_level"),
                "lattice": ("nnbf.drivers.sector_sampling", "vmc_level"),
            },
        ),
    )
}
"""All methods by name."""


def names(kind: str) -> tuple[str, ...]:
    """Names of the methods for a kind of problem, its default first."""
    return tuple(name for name, method in METHODS.items() if kind in method.runs)


def method_named(name: str) -> Method:
    """Return a method.

    Raises:
        InputError: There is none of that name.
    """
    if name not in METHODS:
        raise InputError(f"there is no method {name!r}: the methods are {', '.join(METHODS)}")
    return METHODS[name]


def make_options(kind: str, recorded: Mapping[str, Any] | None = None, *, method: str | None = None) -> Any:
    """Return options: the defaults, or those that a config.json records.

    Args:
        kind: Kind of problem, molecule or lattice.
        recorded: Flat names and values.
        method: Name of the method that they are for.

    Raises:
        InputError: There is no such method, there are options of another version of the program, or
            impossible values.
    """
    if method is not None:
        method_named(method)
    made = _load(OPTIONS[kind])
    given = {name: _with_tuples(value) for name, value in (recorded or {}).items()}
    unknown = set(given) - {field.name for field in fields(made)}
    if unknown:
        unknown_names = ", ".join(sorted(unknown))
        raise InputError(
            f"the run has options that this version does not know ({unknown_names}): use its version"
        )
    return made(**given)


def _load(place: tuple[str, str]) -> Any:
    module, name = place
    return getattr(import_module(module), name)


def _with_tuples(value: Any) -> Any:
    """Return what JSON made of a value with lists as the tuples that they were."""
    return tuple(_with_tuples(item) for item in value) if isinstance(value, list) else value

"""Kinds of problems and their methods: options of each, and the functions that make a level.

A method is a function from a :class:`Task` to a :class:`~nnbf.drivers.level.Level`. Modules are loaded when
they are needed, so that options can be read, and refused, without waiting for NetKet.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hamiltonians import problem as problems
from hamiltonians.errors import InputError
from hamiltonians.problem import problem_class

if TYPE_CHECKING:
    from hamiltonians import Sector
    from nnbf.drivers.level import Level
    from nnbf.drivers.monitor import Monitor


@dataclass(frozen=True, eq=False)
class Task:
    """One level to be found."""

    problem: Any
    """The problem."""
    options: Any
    """How: an instance of the options of the problem's kind."""
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

    def require_lowest(self) -> None:
        """Require that no levels below are given.

        Raises:
            InputError: There are some, which this method cannot exclude.
        """
        if self.lower:
            raise InputError("levels above others need method full-sum")


Method = Callable[[Task], "Level"]


@dataclass(frozen=True)
class Kind:
    """Ways to solve the problems of a kind."""

    options: str | type
    """Data class of the options, or its place as module:name."""
    methods: Mapping[str, str | Method]
    """Functions from a task to a level, or their places, by name; the default comes first."""


KINDS: dict[str, Kind] = {
    "molecular-system": Kind(
        "nnbf.drivers.options:SolverOptions",
        {
            "selected": "nnbf.drivers.selected_space:selected_level",
            "full-sum": "nnbf.drivers.selected_space:full_sum_level",
            "vmc": "nnbf.drivers.molecular_sampling:vmc_level",
        },
    ),
    "lattice": Kind(
        "nnbf.drivers.options:LatticeOptions",
        {
            "full-sum": "nnbf.drivers.sector_levels:full_sum_level",
            "vmc": "nnbf.drivers.sector_levels:vmc_level",
        },
    ),
}
"""Kinds of problems by their format."""

GENERAL = Kind(
    "nnbf.drivers.options:GeneralOptions",
    {
        "full-sum": "nnbf.drivers.operator_levels:full_sum_level",
        "vmc": "nnbf.drivers.operator_levels:vmc_level",
    },
)
"""Ways to solve any problem with a `hamiltonian()`."""


def register_problem[C: type](
    name: str, *, options: str | type = GENERAL.options, methods: Mapping[str, str | Method] = GENERAL.methods
) -> Callable[[C], C]:
    """Decorator that makes a kind of problem known: to files, `solve`, run folders and the command line.

    Args:
        name: Word after `nnbf solve`, and tag in files; never to be changed once there are files.
        options: Data class of the options of its methods; by default those of the general ones.
        methods: Functions from a :class:`Task` to a level, by name, the default first; left out: sums over
            all configurations and Monte Carlo, for any ``hamiltonian()`` that is a `nnbf.Hamiltonian`.

    Raises:
        ValueError: Another class has the name.
        TypeError: The class is no problem, or no data class.
    """

    def registered_class(cls: C) -> C:
        if not is_dataclass(cls):
            raise TypeError(
                f"{cls.__name__} is no data class: its fields are the options of the command line"
            )
        found = problems.register_problem(name)(cls)
        KINDS[name] = Kind(options, methods)
        return found

    return registered_class


def names(problem: Any) -> tuple[str, ...]:
    """Names of the methods for a problem, its default first."""
    return tuple(KINDS[problem.format].methods)


def method_named(problem: Any, name: str) -> Method:
    """Return a method for a problem.

    Raises:
        InputError: There is none of that name.
    """
    known = KINDS[problem.format].methods
    if name not in known:
        raise InputError(f"there is no method {name!r} for a {problem.format}: give {', '.join(known)}")
    return _loaded(known[name])


def options_class(format: str) -> Any:
    """Return the data class of the options for problems of a format.

    Raises:
        InputError: No such problem is registered.
    """
    problem_class(format)
    return _loaded(KINDS[format].options)


def make_options(format: str, recorded: Mapping[str, Any] | None = None) -> Any:
    """Return options: the defaults, or those that a config.json records.

    Args:
        format: Of the problem.
        recorded: Flat names and values.

    Raises:
        InputError: There are options of another version of the program, or impossible values.
    """
    made = options_class(format)
    given = {name: _with_tuples(value) for name, value in (recorded or {}).items()}
    unknown = set(given) - {field.name for field in fields(made)}
    if unknown:
        unknown_names = ", ".join(sorted(unknown))
        raise InputError(
            f"the run has options that this version does not know ({unknown_names}): use its version"
        )
    return made(**given)


def _loaded(place: Any) -> Any:
    if not isinstance(place, str):
        return place
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def _with_tuples(value: Any) -> Any:
    """Return what JSON made of a value with lists as the tuples that they were."""
    return tuple(_with_tuples(item) for item in value) if isinstance(value, list) else value

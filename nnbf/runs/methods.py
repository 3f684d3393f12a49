"""The methods by the name that config.json records: which options each has, and which solver."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any

from hamiltonians.errors import InputError


@dataclass(frozen=True)
class Method:
    """Where a method's code is; it is imported when it is needed."""

    options: tuple[str, str]
    """Module and name of the data class of its options, with `max_steps` and `time_limit`."""
    solver: tuple[str, str]
    """Module and name of its solver: called with a system, options, and by name
    `monitor` and `start`; see `nnbf.drivers.solve`."""

    def make_options(self, recorded: Mapping[str, Any] | None = None) -> Any:
        """Return options: the defaults, or those that a config.json records.

        Raises:
            InputError: There are options of another version of the program, or impossible values.
        """
        kind = _load(self.options)
        given = {name: _with_tuples(value) for name, value in (recorded or {}).items()}
        unknown = set(given) - {field.name for field in fields(kind)}
        if unknown:
            names = ", ".join(sorted(unknown))
            raise InputError(
                f"the run has options that this version does not know ({names}): use its version"
            )
        return kind(**given)

    def solve(self, *arguments: Any, **options: Any) -> Any:
        """Call the solver."""
        return _load(self.solver)(*arguments, **options)


METHODS = {
    "selected": Method(
        options=("nnbf.drivers.options", "SolverOptions"), solver=("nnbf.drivers.ground_state", "solve")
    ),
    "vmc": Method(
        options=("nnbf.drivers.options", "SolverOptions"), solver=("nnbf.drivers.vmc", "solve_vmc")
    ),
}


def method_named(name: str) -> Method:
    """Return a method.

    Raises:
        InputError: There is none of that name.
    """
    if name not in METHODS:
        raise InputError(f"there is no method {name!r}: the methods are {', '.join(METHODS)}")
    return METHODS[name]


def _load(place: tuple[str, str]) -> Any:
    module, name = place
    return getattr(import_module(module), name)


def _with_tuples(value: Any) -> Any:
    """Return what JSON made of a value with lists as the tuples that they were."""
    return tuple(_with_tuples(item) for item in value) if isinstance(value, list) else value

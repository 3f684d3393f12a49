"""Observables by name: a function with `observable` before it is measured, recorded and shown.

To add one, put a file with such a function into this package (or import it from elsewhere)::

    @observable("kinetic_energy", unit="t", on=("lattice",))
    def kinetic_energy(measured: LatticeMeasurement) -> Estimate | None:
        return measured.configurations.average(...)

None stands for what the problem does not have. `nnbf evaluate` and the runs themselves measure all.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, is_dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np

from nnbf._text import Column, Table, value_with_error
from nnbf.estimate import Estimate
from nnbf.observables.weighted_configurations import Configurations

Kind = Literal["molecule", "lattice"]


class Measurement(Protocol):
    """A state whose observables are measured, with what several of them need."""

    @property
    def on(self) -> Kind:
        """Kind of problem."""

    @property
    def configurations(self) -> Configurations:
        """Configurations with their weights."""


@dataclass(frozen=True)
class Observable:
    """A quantity that can be measured."""

    name: str
    """Key in records."""
    unit: str
    """Empty for pure numbers."""
    label: str
    """Name in tables."""
    function: Callable[[Any], Any]
    """Measurement -> `Estimate`, an object with ``record()``, plain data, or None where there is no such."""
    recorded: bool
    """True where records hold it; arrays are for files of their own."""


_REGISTRY: dict[Kind, dict[str, Observable]] = {"molecule": {}, "lattice": {}}


def observable(
    name: str,
    *,
    unit: str = "",
    on: tuple[Kind, ...] = ("molecule", "lattice"),
    label: str = "",
    recorded: bool = True,
) -> Callable[[Callable], Callable]:
    """Decorator that makes a function an observable.

    Args:
        name: Key in records and results.
        unit: Unit of its estimate.
        on: Kinds of problems that have it.
        label: Name in tables; default the name.
        recorded: Whether records hold it.

    Raises:
        ValueError: There is another observable of this name.
    """

    def registered(function: Callable) -> Callable:
        entry = Observable(name, unit, label or name.replace("_", " "), function, recorded)
        for kind in on:
            known = _REGISTRY[kind].get(name)
            if known is not None and known.function.__qualname__ != function.__qualname__:
                raise ValueError(f"there is an observable {name!r} of a {kind} already")
            _REGISTRY[kind][name] = entry
        return function

    return registered


def registered_observables(on: Kind) -> tuple[Observable, ...]:
    """Return the observables of a kind of problem."""
    package = importlib.import_module("nnbf.observables")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"nnbf.observables.{module.name}")
    return tuple(_REGISTRY[on].values())


@dataclass(frozen=True, eq=False)
class Observables(Mapping[str, Any]):
    """Measured observables of a state by name; also attributes."""

    kind: str
    """full_sum, variational (psi on V) or vmc."""
    on: Kind
    """Kind of problem."""
    n_configurations: int
    """Configurations summed over (spin-flip pairs count once), or distinct ones among the samples."""
    n_samples: int | None
    """Samples; None for exact sums."""
    values: Mapping[str, Any]  # type: ignore[assignment]
    """Estimates, arrays and records; None for what the problem does not have."""

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "values" or name not in self.values:
            raise AttributeError(f"there is no observable {name!r}")
        return self.values[name]

    def record(self) -> dict[str, Any]:
        """Return everything but arrays as plain numbers, lists and dictionaries (for JSON)."""
        count = "n_determinants" if self.on == "molecule" else "n_configurations"
        found = {"kind": self.kind, count: self.n_configurations, "n_samples": self.n_samples}
        for entry in registered_observables(self.on):
            if entry.recorded and entry.name in self.values:
                found[entry.name] = _plain(self.values[entry.name], self.kind)
        return found

    def table(self) -> Table:
        """Return what has a value and an error as a table."""
        table = Table(["observable", Column("value", "right"), "unit"], caption=f"observables ({self.kind})")
        for entry in registered_observables(self.on):
            found = self.values.get(entry.name)
            if isinstance(found, Estimate) and np.size(found.value) <= 8 and not np.iscomplexobj(found.value):
                values, errors = np.broadcast_arrays(np.atleast_1d(found.value), found.error)
                text = "  ".join(value_with_error(float(v), float(e)) for v, e in zip(values, errors))
                table.add(entry.label, text, found.unit)
        return table


def measure(measurement: Measurement, names: tuple[str, ...] | None = None) -> Observables:
    """Measure observables of a state.

    Args:
        measurement: The state.
        names: Names of observables; default all.

    Raises:
        KeyError: There is no observable of a name.
        FloatingPointError: log psi is not finite.
    """
    known = {entry.name: entry for entry in registered_observables(measurement.on)}
    configurations = measurement.configurations
    values = {}
    for name in known if names is None else names:
        found = known[name].function(measurement)
        if isinstance(found, Estimate):
            found = replace(found, kind=configurations.kind, unit=known[name].unit)
        values[name] = found
    return Observables(
        configurations.kind, measurement.on, len(configurations), configurations.n_samples, values
    )


def _plain(value: Any, kind: str) -> Any:
    if hasattr(value, "record"):
        return value.record()
    if isinstance(value, Estimate):
        mean = np.asarray(value.value)
        error = np.broadcast_to(np.asarray(value.error, dtype=float), mean.shape)
        return {"value": mean.tolist(), "error": error.tolist(), "kind": kind}
    if isinstance(value, list | tuple):
        return [_plain(item, kind) for item in value]
    return {**asdict(value), "kind": kind} if is_dataclass(value) and not isinstance(value, type) else value

"""The table [analysis] of a manifest."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from hamiltonians.errors import InputError
from nnbf._options import problem_of
from nnbf.estimate import KINDS
from nnbf.sweep.names import COST_COLUMNS, require_known

ANALYSES = ("basis_limit", "curve", "scaling")
"""Kinds of analysis."""

SIZES = ("n_spin_orbitals", "n_orbitals", "n_electrons", "n_atoms", "n_connected", "n_determinants")
"""Sizes that a quantity can grow with."""

QUANTITIES = (
    "error_mha", *COST_COLUMNS, "wall_time_s", "n_determinants", "n_connected",
    "connected_per_determinant", "n_parameters", "fci_dimension", "variance", "v_score",
)  # fmt: skip
"""Quantities that can grow with size."""


@dataclass(frozen=True)
class AnalysisOptions:
    """Analyses of the points at the end of a sweep; the fields are the keys of the table."""

    kinds: tuple[str, ...] | None = None
    """Analyses, of `ANALYSES`; None for those that the manifest suggests: a limit for basis sets of one
    family, a curve for a scanned geometry."""
    energy: str = "energy"
    """Energy of the limits and curves: a kind ("variational", "pt2" ...), or "energy" for the headline."""
    exact: float | None = None
    """Exact energy of a complete basis (Hartree), which the limits are compared with."""
    accuracy_milli: float = 1.6
    """Energy error that `time_to_accuracy_s` waits for, in thousandths of the unit (mHa)."""
    against: tuple[str, ...] = ("n_spin_orbitals", "n_connected")
    """Sizes of the power laws, of `SIZES`."""
    quantities: tuple[str, ...] = (
        "error_mha", "time_per_step_s", "time_to_accuracy_s", "memory_mb", "n_determinants", "n_connected",
    )  # fmt: skip
    """Quantities of the power laws, of `QUANTITIES`."""
    series: str | Mapping[str, str] | None = None
    """Points with laws of their own: each value of this coordinate; or name -> pattern of point names."""


def analysis_options(table: Mapping[str, Any], command: str, source: str) -> AnalysisOptions:
    """Check the table [analysis].

    Args:
        table: Its content.
        command: Command of the sweep.
        source: The manifest, for messages.

    Raises:
        InputError: A key is unknown, or a value makes no sense.
    """
    require_known(f"{source}: analysis", table, [field.name for field in fields(AnalysisOptions)])
    given: dict[str, Any] = {}
    for key, value in table.items():
        name, where = key.replace("-", "_"), f"{source}: analysis.{key}"
        given[name] = _names(value, where, _NAMES[name]) if name in _NAMES else _VALUES[name](value, where)
    for name in ("against", "quantities"):
        if given.get(name) == ():
            raise InputError(f"{source}: analysis.{name} is empty: give one of {', '.join(_NAMES[name])}")
    if "basis_limit" in given.get("kinds", ()) and command != "molecule":
        raise InputError(f"{source}: analysis.kinds: a {command} has no basis sets: leave out 'basis_limit'")
    return AnalysisOptions(**given)


def _names(value: Any, where: str, known: tuple[str, ...]) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InputError(f"{where} = {value!r} has the wrong type: give a list such as {list(known[:2])}")
    require_known(where, value, known)
    return tuple(dict.fromkeys(item.replace("-", "_") for item in value))


def _energy(value: Any, where: str) -> str:
    names = ("energy", *KINDS)
    if value not in names:
        raise InputError(f"{where} = {value!r} is no kind of energy: give one of {', '.join(names)}")
    return value


def _number(value: Any, where: str) -> float:
    problem = problem_of(value, float)
    if problem is not None or not math.isfinite(value):
        raise InputError(f"{where} = {value!r} is no energy: give a number")
    return float(value)


def _positive(value: Any, where: str) -> float:
    number = _number(value, where)
    if not number > 0:
        raise InputError(f"{where} = {value!r}: give a positive number")
    return number


def _series(value: Any, where: str) -> str | dict[str, str]:
    if isinstance(value, str) and value:
        return value.replace("-", "_")
    if isinstance(value, Mapping) and value and all(isinstance(item, str) for item in value.values()):
        return dict(value)
    raise InputError(f'{where}: give the name of a coordinate, or patterns such as {{ ring = "*ring*" }}')


_NAMES = {"kinds": ANALYSES, "against": SIZES, "quantities": QUANTITIES}
_VALUES = {"energy": _energy, "exact": _number, "accuracy_milli": _positive, "series": _series}

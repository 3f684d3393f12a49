"""One run in the few numbers that tables have."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nnbf.report.collection.hamiltonian import (
    InfiniteTemperature,
    IntegralFacts,
    degrees_of_freedom,
    infinite_temperature,
    read_integrals,
)
from nnbf.report.collection.method import method_line
from nnbf.report.collection.sources import Entry
from nnbf.report.energies import Yardstick, best_reference, error_unit
from nnbf.report.runs import RunRecord


@dataclass(frozen=True)
class Summary:
    """A run that can be read. Energies are in its `unit`."""

    entry: Entry
    """Where it came from."""
    run: RunRecord
    """What its files say."""
    system: str
    """What was solved, such as "N2 / sto-3g"."""
    unit: str
    """Hartree, or t."""
    milli: str
    """Name of a thousandth of it."""
    energy: float | None
    """The energy that the run reports."""
    error: float | None
    """Its standard error; None for sums that have none."""
    kind: str
    """Which energy it is."""
    yardstick: Yardstick | None
    """The most trusted reference."""
    variance: float | None
    """Variance of H in the state of that energy."""
    v_score: float | None
    """dof * variance / (energy - E_inf)^2."""
    dof: int | None
    """Particles."""
    hot: InfiniteTemperature
    """E_inf."""
    integrals: IntegralFacts | str
    """The integrals of a molecule in brief, or why there are none."""
    states: int | None
    """Determinants in V, or states of the symmetry sector."""
    n_parameters: int | None
    """Parameters of the wave function."""
    seconds: float | None
    """Wall time."""
    method: str
    """The method in words."""
    steps: tuple[Mapping[str, Any], ...]
    """Rows of the history that have an energy; `energy`, `time_s` and `variance` are numbers or None."""

    @property
    def difference(self) -> float | None:
        """Energy less that of the yardstick, in thousandths of the unit."""
        if self.energy is None or self.yardstick is None:
            return None
        return 1e3 * (self.energy - self.yardstick.energy)


def summarise(entry: Entry) -> Summary | None:
    """Return the summary of an entry; None for one whose files cannot be read.

    Raises:
        ArithmeticError, LookupError, TypeError, ValueError: The files hold something else than runs do.
    """
    run = entry.run
    if run is None:
        return None
    result = run.result
    integrals = "a lattice model" if run.is_lattice else read_integrals(run.path / "system.npz")
    hot, dof = infinite_temperature(run, integrals), degrees_of_freedom(run)
    energy = _number(result.get("energy"))
    variance = _number(result.get("variance"))
    return Summary(
        entry=entry,
        run=run,
        system=run.title,
        unit=str(result.get("energy_unit") or "Hartree"),
        milli=error_unit(result),
        energy=energy,
        error=_number(result.get("energy_error")) or None,
        kind=str(result.get("energy_kind") or ""),
        yardstick=best_reference(references(run)),
        variance=variance,
        v_score=_v_score(energy, variance, dof, hot.energy, _number(result.get("v_score"))),
        dof=dof,
        hot=hot,
        integrals=integrals,
        states=result.get("n_determinants") or _states(result),
        n_parameters=result.get("n_parameters"),
        seconds=_number(result.get("wall_time_s")),
        method=method_line(run),
        steps=_steps(run.history),
    )


def _steps(history: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    keys = ("energy", "time_s", "variance")
    rows = ({**row, **{key: _number(row.get(key)) for key in keys}} for row in history)
    return tuple(row for row in rows if row["energy"] is not None)


def references(run: RunRecord) -> dict[str, float | None]:
    """Return the energies of other methods."""
    found = dict(run.result.get("references") or {})
    exact = run.result.get("exact")  # of nnbf charge: the record of exact diagonalisation
    if isinstance(exact, Mapping) and exact.get("energy") is not None:
        found.setdefault("ed", exact["energy"])
    return {key: _number(value) for key, value in found.items()}


def _v_score(
    energy: float | None, variance: float | None, dof: int | None, hot: float | None, stored: float | None
) -> float | None:
    """The definition where all that it needs is known, so that a row is consistent; else what is stored."""
    if energy is None or variance is None or dof is None or hot is None or energy == hot:
        return stored
    return dof * variance / (energy - hot) ** 2


def _states(result: Mapping[str, Any]) -> int | None:
    energy = result.get("energy")
    levels = result.get("sectors") or ()
    return next((level.get("n_states") for level in levels if level.get("energy") == energy), None)


def _number(value: Any) -> float | None:
    """A finite number, or None; text is no number."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} where a number should be")
    return float(value) if math.isfinite(value) else None

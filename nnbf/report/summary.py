"""One run in the few numbers that tables have."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nnbf.estimate import KINDS, Estimate
from nnbf.estimate import v_score as v_score_of
from nnbf.report.energies import Reference, best_reference, error_unit
from nnbf.report.method import method_line
from nnbf.report.reading import RunRecord
from nnbf.report.sources import Entry
from nnbf.report.varbench_names import (
    InfiniteTemperature,
    IntegralFacts,
    degrees_of_freedom,
    infinite_temperature,
    read_integrals,
)


@dataclass(frozen=True)
class Summary:
    """A run that can be read."""

    entry: Entry
    """Its name, folder and state."""
    run: RunRecord
    """Content of its files."""
    energy: Estimate | None
    """Energy that the run reports; None as long as it has none."""
    reference: Reference | None
    """The most trusted reference."""
    dof: int | None
    """Particles."""
    infinite_temperature: InfiniteTemperature
    """Energy at infinite temperature, from where V-scores are measured."""
    integrals: IntegralFacts | str
    """The integrals of a molecule in brief, or why there are none."""
    v_score: float | None
    """dof * variance / (energy - E_inf)^2."""
    states: int | None
    """Determinants in V, or states of the symmetry sector."""
    seconds: float | None
    """Wall time."""
    method: str
    """The method in words."""

    @property
    def system(self) -> str:
        """Name of what was solved, such as "N2 / sto-3g"."""
        return self.run.title

    @property
    def unit(self) -> str:
        """Unit of energies: Hartree, or t."""
        return self.run.unit

    @property
    def milli(self) -> str:
        """Name of a thousandth of the unit."""
        return error_unit({"energy_unit": self.unit})

    @property
    def variance(self) -> float | None:
        """Variance of H in the state of the energy."""
        return number(self.run.result.get("variance"))

    @property
    def kind(self) -> str:
        """Label of the kind of the energy."""
        return "" if self.energy is None else KINDS.get(self.energy.kind, (self.energy.kind, ""))[0]

    @property
    def is_exact(self) -> bool:
        """True where the reference is exact."""
        return self.reference is not None and self.reference.is_exact

    @property
    def difference(self) -> float | None:
        """Energy less that of the reference, in thousandths of the unit."""
        if self.energy is None or self.reference is None:
            return None
        return 1e3 * (self.energy.value - self.reference.energy)


def summarise(entry: Entry) -> Summary | None:
    """Return the summary of an entry; None for one whose files cannot be read.

    Raises:
        ArithmeticError, LookupError, TypeError, ValueError: The files hold something else than runs do.
    """
    run = entry.run
    if run is None:
        return None
    result = run.result
    integrals = read_integrals(run.path / "system.npz") if run.is_molecule else "no molecule"
    hot, dof = infinite_temperature(run, integrals), degrees_of_freedom(run)
    energy, variance = headline(result, run.unit), number(result.get("variance"))
    score = number(result.get("v_score"))
    # The definition where all that it needs is known, so that a row is consistent; else what is stored.
    if energy is not None and variance is not None and dof is not None and hot.energy is not None:
        score = v_score_of(dof, variance, energy.value, hot.energy)
    if run.is_lattice and run.finished and len(run.levels) < len(result["levels"]):
        raise TypeError("a level without energy")
    for row in (*run.history, *run.levels):
        for key in ("energy", "time_s", "variance"):
            number(row.get(key))
    return Summary(
        entry=entry,
        run=run,
        energy=energy,
        reference=best_reference({key: number(value) for key, value in run.references.items()}),
        dof=dof,
        infinite_temperature=hot,
        integrals=integrals,
        v_score=score,
        states=result.get("n_determinants") or _states(run),
        seconds=number(result.get("wall_time_s")),
        method=method_line(run),
    )


def headline(result: Mapping[str, Any], unit: str) -> Estimate | None:
    """Return the energy that a run reports; None without one."""
    energy, kind = number(result.get("energy")), str(result.get("energy_kind") or "")
    if energy is None:
        return None
    bound = KINDS.get(kind, ("", "no"))[1] != "no"
    variance = number(result.get("variance"))
    error = number(result.get("energy_error")) or 0.0
    return Estimate(energy, error, kind, unit, upper_bound=bound, variance=variance)


def number(value: Any) -> float | None:
    """Return a finite number, or None.

    Raises:
        TypeError: It is text, or another thing that is no number.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} where a number should be")
    return float(value) if math.isfinite(value) else None


def _states(run: RunRecord) -> int | None:
    energy = run.result.get("energy")
    return next((level.get("n_states") for level in run.levels if level["energy"] == energy), None)

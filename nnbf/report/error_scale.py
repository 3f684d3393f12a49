"""Energy errors on an axis: against which reference, on which scale, and where the other methods lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnbf.estimate import reference_label
from nnbf.report.energies import Reference
from nnbf.report.style import DASHED, MUTED

SMALLEST = 1e-5
"""Thousandths of the unit; below, differences are rounding and convergence thresholds."""

_LINEAR_WITHIN = 1.0  # of a scale with negative values
_LABEL_GAP = 9.5  # points between two labels


@dataclass(frozen=True)
class ErrorScale:
    """Map from energies to heights of a plot."""

    reference: Reference | None
    """Reference that is subtracted; None plots energies as they are."""
    unit: str
    """Name of the unit on the axis."""
    logarithmic: bool
    """True where all errors are positive, so that a logarithmic axis can show them."""

    @classmethod
    def for_runs(
        cls, reference: Reference | None, energies: Sequence[float], unit: str, energy_unit: str
    ) -> "ErrorScale":
        """Choose the scale that can show these energies."""
        if reference is None:
            return cls(None, energy_unit, False)
        errors = 1e3 * (np.asarray(energies, dtype=float) - reference.energy)
        return cls(reference, unit, bool(errors.size and np.all(errors > -SMALLEST)))

    @property
    def label(self) -> str:
        """Text of the axis."""
        if self.reference is None:
            return f"energy ({self.unit})"
        return f"energy above {self.reference.label} ({self.unit})"

    def heights(self, energies: Sequence[float]) -> np.ndarray:
        """Return what is plotted for these energies."""
        values = np.asarray(energies, dtype=float)
        if self.reference is None:
            return values
        errors = 1e3 * (values - self.reference.energy)
        return np.maximum(errors, SMALLEST) if self.logarithmic else errors

    def place(self, energy: float) -> tuple[float, bool]:
        """Return (height, below): on an axis that cannot show what lies below, distances count."""
        if (
            not self.logarithmic
            or self.reference is None
            or energy >= self.reference.energy - 1e-3 * SMALLEST
        ):
            return float(self.heights([energy])[0]), False
        return float(self.heights([2 * self.reference.energy - energy])[0]), True

    def apply(self, axes: Any, heights: np.ndarray) -> None:
        """Set scale and limits of an axis to these heights."""
        if self.logarithmic:
            axes.set_yscale("log")
            axes.set_ylim(max(heights.min(), SMALLEST) / 2.5, max(heights.max(), 2 * SMALLEST) * 2.5)
        elif self.reference is not None:
            axes.set_yscale("symlog", linthresh=_LINEAR_WITHIN)
            span = max(abs(heights.min()), abs(heights.max()), _LINEAR_WITHIN)
            axes.set_ylim(min(2.5 * heights.min(), -0.1 * _LINEAR_WITHIN), 2.5 * span)
        else:
            pad = 0.05 * max(np.ptp(heights), 1e-6)
            axes.set_ylim(heights.min() - pad, heights.max() + pad)

    def lines(self, references: Mapping[str, float | None]) -> list[tuple[float, str]]:
        """Return (height, label) of the other methods; on a logarithmic axis, distances below count too."""
        found = []
        for key, energy in references.items():
            if energy is None or (self.reference is not None and key == self.reference.key):
                continue
            label = reference_label(key)
            if self.reference is None:
                found.append((energy, label))
                continue
            error = 1e3 * (energy - self.reference.energy)
            if self.logarithmic and error < 0:
                label += " (below)"
                error = -error
            if not self.logarithmic or error >= SMALLEST:
                found.append((error, label))
        if self.reference is not None and not self.logarithmic:
            found.append((0.0, self.reference.label))
        return found


def draw_lines(axes: Any, lines: Sequence[tuple[float, str]], *, labels: bool) -> None:
    """Draw horizontal lines that are on the axis, with labels to the right that do not overlap."""
    lowest, highest = axes.get_ylim()
    shown = sorted((height, label) for height, label in lines if lowest <= height <= highest)
    for height, _ in shown:
        axes.axhline(height, color=MUTED, linewidth=0.9, linestyle=DASHED, zorder=1)
    if not labels:
        return
    to_points = 72.0 / axes.figure.dpi
    wanted = [axes.transData.transform((0, height))[1] * to_points for height, _ in shown]
    for (height, label), at, place in zip(shown, wanted, spread(wanted, _LABEL_GAP), strict=True):
        axes.annotate(
            label,
            xy=(1.0, height),
            xycoords=axes.get_yaxis_transform(),
            xytext=(5, place - at),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=MUTED,
            annotation_clip=False,
        )


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Return ascending places at least `gap` apart, as near as possible to the `wanted` ones."""
    # Pool-adjacent-violators on places less their minimal offsets: [sum, count] of every pool.
    pools: list[list[float]] = []
    for index, place in enumerate(wanted):
        pools.append([place - gap * index, 1.0])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            total, count = pools.pop()
            pools[-1][0] += total
            pools[-1][1] += count
    levels = [total / count for total, count in pools for _ in range(int(count))]
    return [level + gap * index for index, level in enumerate(levels)]

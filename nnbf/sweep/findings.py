"""What the analyses of a sweep work on, and what they find."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nnbf.sweep.names import point_name
from nnbf.sweep.points import Point

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHARE_OF_PT2 = 0.25
"""Error of the Epstein-Nesbet correction for what V leaves out, as a share of it: Li2O has 0.03 where it is
0.13 mHa; higher orders grow with it."""
SHARE_OF_MP2 = 0.3
"""Error of the MP2 correction for virtual orbitals that were left out, as a share of it: what CCSD(T) says it
leaves of the error, in docs/basis_limit.md, at most."""


@dataclass(frozen=True)
class PointRecord:
    """A point with everything that is known of it."""

    point: Point
    """Which."""
    row: Mapping[str, Any]
    """Its row of the table."""
    timing: Mapping[str, Any]
    """Its row of the timings."""
    result: Mapping[str, Any] | None
    """Its result.json; None where it is not done."""

    def energy(self, kind: str) -> tuple[float, float] | None:
        """Return the energy of a kind and its error, Hartree; None where there is none.

        Where virtual orbitals were left out it has the MP2 correction for them. The error is statistical
        and, in quadrature, `SHARE_OF_PT2` and `SHARE_OF_MP2` of the corrections that are in the energy; of a
        variational energy it is all that second order says is missing.

        Args:
            kind: "energy" for the headline, or one of `nnbf.report.energies.KINDS`.
        """
        row = self.row
        energy = row.get(kind)
        if energy is None:
            return None
        parts = [row.get(f"{kind}_error") or 0.0]
        main, second = row.get("energy"), row.get("pt2")
        name = row.get("energy_kind") if kind == "energy" else kind
        if second is not None and row.get("variational") is not None:
            missing = second - row["variational"]
            parts.append({"variational": 1.0, "pt2": SHARE_OF_PT2}.get(str(name), 0.0) * missing)
        whole = row.get("mp2_corrected")
        if whole is not None and main is not None and name != "mp2_corrected":
            energy += whole - main
            parts.append(SHARE_OF_MP2 * (whole - main))
        return float(energy), math.hypot(*parts)

    def references(self) -> dict[str, float | None]:
        """Return the references; those of the whole basis where virtual orbitals were left out."""
        result = self.result or {}
        whole = (result.get("truncation") or {}).get("references")
        return dict(whole or result.get("references") or {})


@dataclass(frozen=True)
class Finding:
    """One result of an analysis."""

    record: dict[str, Any]
    """Plain numbers, for sweep.json and sweep.md."""
    picture: str
    """Name of its picture in the folder of the sweep."""
    draw: Callable[[], "Figure"]
    """Make the picture."""


@dataclass
class Findings:
    """What the analyses of a sweep have found."""

    limits: list[Finding] = field(default_factory=list)
    """Basis-set limits."""
    curves: list[Finding] = field(default_factory=list)
    """Potential-energy curves."""
    scaling: list[Finding] = field(default_factory=list)
    """Growth with size."""
    notes: list[str] = field(default_factory=list)
    """What could not be made, and why: one line each."""

    @property
    def all(self) -> list[Finding]:
        """All of them."""
        return [*self.limits, *self.curves, *self.scaling]

    def record(self) -> dict[str, Any]:
        """Return keys of sweep.json: `limits`, that of the first group, and `analysis`, with everything."""
        limits = [finding.record for finding in self.limits]
        return {
            "limits": limits[0] if limits else None,
            "analysis": {
                "basis_limits": limits,
                "curves": [finding.record for finding in self.curves],
                "scaling": [finding.record for finding in self.scaling],
                "notes": self.notes,
            },
        }


def group_name(group: Mapping[str, Any], *more: str) -> str:
    """Return a name for a group of points: "H2O_seed0"."""
    parts = [point_name(group)] if group else []
    return "_".join([*parts, *(part for part in more if part)])


def picture_name(kind: str, name: str) -> str:
    """Return the file name of a picture: "limit_H2O.png"."""
    return f"{kind}_{name}.png" if name else f"{kind}.png"


def listed(records: "list[PointRecord]") -> str:
    """Return points with their states: "cc-pvqz (missing), cc-pv5z (failed)"."""
    return ", ".join(f"{record.point.name} ({record.row['status']})" for record in records)

"""All observables of a lattice state with their errors, and as plain data.

Exact for states on at most 500,000 configurations, else from samples; see `nnbf.observables.lattice_samples`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hamiltonians.errors import InputError
from hamiltonians.lattice.model import Lattice
from hamiltonians.lattice.space_group import SpaceGroup, space_group
from nnbf.observables.lattice_correlations import (
    Correlations,
    StructureFactor,
    correlation_ratio,
    correlations,
    structure_factor,
)
from nnbf.observables.lattice_samples import LogPsi, WeightedConfigurations
from nnbf.observables.lattice_spin import double_occupancy, lattice_s_squared
from nnbf.observables.lattice_symmetry import MeasuredSymmetry, measured_symmetry
from nnbf.observables.result import Estimate


@dataclass(frozen=True, eq=False)
class LatticeObservables:
    """What is known of a lattice state besides its energy."""

    kind: str
    """full_sum or vmc."""
    n_configurations: int
    """Distinct configurations summed over."""
    n_samples: int | None
    """Samples; None for exact sums."""
    symmetry: MeasuredSymmetry
    """Momentum, irrep, spin flip."""
    density: Correlations
    """Density-density correlations."""
    density_structure: StructureFactor
    """Their structure factor."""
    correlation_ratio: Estimate | None
    """1 - S(Q + dq) / S(Q) of densities at Q = (pi, pi); None where that is not on the lattice."""
    spin: Correlations | None
    """S^z S^z correlations (Hubbard)."""
    spin_structure: StructureFactor | None
    """Their structure factor (Hubbard)."""
    s_squared: Estimate | None
    """<S^2> (Hubbard)."""
    double_occupancy: Estimate | None
    """Share of doubly occupied sites (Hubbard)."""

    def record(self) -> dict[str, Any]:
        """As plain numbers, lists and dictionaries (for JSON)."""
        found: dict[str, Any] = {
            "kind": self.kind,
            "n_configurations": self.n_configurations,
            "n_samples": self.n_samples,
        }
        for name in ("symmetry", "density", "density_structure", "spin", "spin_structure"):
            part = getattr(self, name)
            found[name] = None if part is None else part.record()
        for name in ("correlation_ratio", "s_squared", "double_occupancy"):
            estimate = getattr(self, name)
            found[name] = (
                None
                if estimate is None
                else {"value": float(estimate.value), "error": float(estimate.error), "kind": self.kind}
            )
        return found


def lattice_observables(
    model: Lattice,
    configurations: WeightedConfigurations,
    log_psi: LogPsi,
    *,
    group: SpaceGroup | None = None,
    momentum: Any = None,
) -> LatticeObservables:
    """All observables of a lattice state.

    Args:
        model: The model.
        configurations: `WeightedConfigurations.enumerated` or `.sampled` from |psi|^2.
        log_psi: Occupations (n, modes) -> complex log psi (n,).
        group: Space group, where it is at hand.
        momentum: Momentum whose little group is measured; by default the one that is found.

    Raises:
        InputError: No such momentum.
        FloatingPointError: log psi is not finite.
    """
    group = space_group(model) if group is None else group
    spinful = model.is_spinful
    return LatticeObservables(
        kind=configurations.kind,
        n_configurations=len(configurations.occupations),
        n_samples=configurations.n_samples,
        symmetry=measured_symmetry(group, configurations, log_psi, momentum),
        density=correlations(model, configurations),
        density_structure=structure_factor(model, configurations),
        correlation_ratio=_ratio(model, configurations),
        spin=correlations(model, configurations, "spin") if spinful else None,
        spin_structure=structure_factor(model, configurations, "spin") if spinful else None,
        s_squared=lattice_s_squared(model, configurations, log_psi) if spinful else None,
        double_occupancy=double_occupancy(model, configurations) if spinful else None,
    )


def _ratio(model, configurations):
    try:
        ratio = correlation_ratio(model, configurations)
    except InputError:
        return None
    return None if np.isnan(ratio.value) else ratio

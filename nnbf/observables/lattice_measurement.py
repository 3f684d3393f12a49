"""Observables of lattice states with their errors.

Exact for states on at most 500,000 configurations, else from samples; see
`nnbf.observables.weighted_configurations`.
"""

from dataclasses import dataclass
from typing import Any, Literal

from hamiltonians.lattice.model import Lattice
from hamiltonians.lattice.space_group import SpaceGroup, space_group
from nnbf.observables.observable_registry import Observables, measure
from nnbf.observables.weighted_configurations import Configurations, LogPsi


@dataclass(frozen=True, eq=False)
class LatticeMeasurement:
    """A lattice state whose observables are measured."""

    model: Lattice
    """The model."""
    configurations: Configurations
    """`Configurations.enumerated` or `.sampled` from |psi|^2."""
    log_psi: LogPsi
    """Occupations (n, modes) -> complex log psi (n,)."""
    group: SpaceGroup
    """Space group of the model."""
    momentum: Any = None
    """Momentum whose little group is measured; by default the one that is found."""
    on: Literal["lattice"] = "lattice"
    """Kind of problem."""


def lattice_observables(
    model: Lattice,
    configurations: Configurations,
    log_psi: LogPsi,
    *,
    group: SpaceGroup | None = None,
    momentum: Any = None,
) -> Observables:
    """All observables of a lattice state.

    Args:
        model: The model.
        configurations: `Configurations.enumerated` or `.sampled` from |psi|^2.
        log_psi: Occupations (n, modes) -> complex log psi (n,).
        group: Space group, where it is at hand.
        momentum: Momentum whose little group is measured; by default the one that is found.

    Raises:
        InputError: No such momentum.
        FloatingPointError: log psi is not finite.
    """
    group = space_group(model) if group is None else group
    return measure(LatticeMeasurement(model, configurations, log_psi, group, momentum))

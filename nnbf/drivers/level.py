"""Results: levels, each with its energy, state and warnings, and all of them as an outcome."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from nnbf.estimate import Estimate

if TYPE_CHECKING:
    from hamiltonians import Sector


@dataclass(frozen=True, eq=False)
class Level:
    """One optimised level of a problem, of a molecule or of a sector of a lattice."""

    problem: Any
    """The problem, with the number of particles of the level."""
    energy: Estimate
    """Headline energy: its kind, error, variance, and whether it is an upper bound."""
    status: str
    """converged, time_limit, max_steps, interrupted, or exact for a sector of one state."""
    n_steps: int
    """Optimisation steps."""
    n_parameters: int
    """Parameters of the network."""
    wall_time_s: float
    """Seconds spent, evaluation and sessions before an interruption included."""
    model: Any
    """The network, a Flax module."""
    parameters: Any
    """Its parameter tree."""
    sector: Any = None
    """Symmetry sector; None for molecules, whose irrep is that of the reference determinant."""
    number: int = 0
    """Number of the level in its sector, from 0."""
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    """Energies by kind, the headline's included."""
    v_score: float = 0.0
    """V-score of the state behind the headline energy (Wu et al., Science 386, 296 (2024))."""
    s_squared: float | None = None
    """<S^2> of that state, where it is known."""
    reference: float | None = None
    """Exact energy of the level, where it was diagonalised beside."""
    vectors: Any = field(default=None, repr=False)
    """The normalised state on all configurations, (n, d), in all rows of the irrep, where it was expanded."""
    determinants: np.ndarray | None = None
    """Variational space, (n, 2 W) bit strings; None where there is none."""
    observables: Any = None
    """Observables of the state, where they were measured."""
    warnings: tuple[str, ...] = ()
    """Warnings, one line each."""
    message: str = ""
    """One line on how the calculation ended, and how to go on."""
    started_warm: bool = False
    """True where it began from a start that was given."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Further numbers of the method, plain values."""
    state: Any = field(default=None, repr=False)
    """The state: NetKet's interface."""
    samples: Any = field(default=None, repr=False)
    """Weighted samples of the final energy (`nnbf.evaluation.Samples`), where it was sampled."""

    @property
    def n_determinants(self) -> int:
        """Size of the variational space (spin-flip pairs count once), 0 where there is none."""
        return 0 if self.determinants is None else len(self.determinants)

    def without_state(self) -> "Level":
        """The level as it can be sent to another process."""
        return replace(self, state=None, vectors=None, parameters=jax.device_get(self.parameters))

    def record(self) -> dict[str, Any]:
        """Plain data: the level's part of a result file."""
        energy = self.energy
        record = {
            "sector": _sector_record(self.sector),
            "level": self.number,
            "energy": float(energy.value),
            "error": float(energy.error),
            "kind": energy.kind,
            "upper_bound": energy.upper_bound,
            "reference": self.reference,
            "variance": energy.variance,
            "v_score": self.v_score,
            "s_squared": self.s_squared,
            "status": self.status,
            "n_steps": self.n_steps,
            "n_parameters": self.n_parameters,
            "wall_time_s": self.wall_time_s,
            "warnings": list(self.warnings),
            **self.details,
        }
        if self.sector is None or self.sector.momentum is None:
            return record
        backflow = getattr(self.model, "backflow", None)
        return {
            **record,
            "momentum": list(self.sector.momentum),
            "wave_vector": list(self.sector.wave_vector),
            "irrep": self.sector.irrep,
            "spin_flip": self.sector.spin_flip,
            "little_group": self.sector.little_group,
            "degeneracy": self.sector.degeneracy,
            "star": [list(momentum) for momentum in self.sector.star],
            "n_states": self.sector.n_states,
            "total_spin": getattr(backflow, "total_spin", None),
        }


@dataclass(frozen=True, eq=False)
class Outcome:
    """Everything that a calculation found."""

    problem: Any
    """The problem."""
    levels: tuple[Level, ...]
    """Levels in the order in which they were found."""
    references: Mapping[str, float | None] = field(default_factory=dict)
    """Reference energies by method."""
    wall_time_s: float = 0.0
    """Seconds."""

    @property
    def lowest(self) -> Level:
        """Level of lowest energy.

        Raises:
            ValueError: There is none.
        """
        return min(self.levels, key=lambda level: float(level.energy.value))

    @property
    def energy(self) -> Estimate:
        """Energy of the lowest level."""
        return self.lowest.energy

    @property
    def status(self) -> str:
        """How the calculation ended: converged, or the status of the first level that is not."""
        poor = [level.status for level in self.levels if level.status not in ("converged", "exact")]
        return poor[0] if poor else "converged"

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings of all levels, each once."""
        return tuple(dict.fromkeys(warning for level in self.levels for warning in level.warnings))


def estimate_record(estimate: Estimate) -> dict[str, Any]:
    """An energy as result files have it: energy, error, upper_bound, and what is known beyond."""
    known = {
        "variance": estimate.variance,
        "r_hat": estimate.r_hat,
        "tau_corr": estimate.tau,
        "n_samples": estimate.n_samples,
    }
    return {
        "energy": float(estimate.value),
        "error": float(estimate.error),
        "upper_bound": estimate.upper_bound,
        **{name: value for name, value in known.items() if value is not None},
        **estimate.details,
    }


def _sector_record(sector: "Sector | None") -> dict[str, Any]:
    if sector is None:
        return {"momentum": None, "irrep": None, "spin_flip": None, "label": ""}
    return {
        "momentum": None if sector.momentum is None else list(sector.momentum),
        "irrep": sector.irrep,
        "spin_flip": sector.spin_flip,
        "label": sector.label,
    }

"""Options of the evaluation of a trained state."""

import math
from dataclasses import dataclass, fields
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Interval, Le

from hamiltonians import InputError
from nnbf._options import Checked, Positive, Seed


@dataclass(frozen=True)
class EvaluationOptions(Checked):
    """Extent of the sampling of a trained state. In Hartree (lattices: in t) and seconds."""

    precision: Positive = 1e-4
    """Sample until the standard error of the energy is at most this."""
    relative: bool = False
    """Take the precision as a share of the energy, where that is above 1."""
    time_limit: Annotated[float, Gt(0), Le(math.inf)] = 600.0
    """Stop after this many seconds; what was sampled until then counts."""
    samples: Annotated[int, Ge(1)] | None = None
    """Stop after this many samples; left out: no limit."""
    seed: Seed = 0
    """Seed of the samples."""
    chains: Annotated[int, Ge(2)] = 64
    """Metropolis chains."""
    power: Annotated[float, Interval(ge=1, le=2)] | None = None
    """Let chains draw from |psi| to this power, from 1 to 2, and weigh the samples; left out: what a first
    round finds best."""
    observables: bool = True
    """Measure observables from the same samples."""
    state: str = ""
    """Lattices: level to sample, by the name of its file in states/, such as 0-0_B2_0; left out: the
    lowest."""
    large: Annotated[int, Ge(1)] = 16384
    """Molecules: determinants of largest amplitude summed exactly; at most a quarter of the sector."""
    sampler: Literal["auto", "sector", "metropolis"] = "auto"
    """Molecules: independent samples with all amplitudes of the sector tabulated, or metropolis chains."""
    sector_limit: Annotated[int, Ge(0)] = 6_000_000
    """Molecules: tabulate the whole symmetry sector when it has at most this many determinants (pairs count
    once)."""
    full_sum_limit: Annotated[int, Ge(0)] = 500_000
    """Molecules: also sum over the whole sector, for comparison, up to this many determinants."""

    def require_for(self, kind: Literal["molecules", "lattices"]) -> None:
        """Require that options which mean nothing for a kind of problem were not given.

        Raises:
            InputError: One is not at its default.
        """
        other = "lattices" if kind == "molecules" else "molecules"
        for field in fields(self):
            if field.name in _ONLY[other] and getattr(self, field.name) != field.default:
                raise InputError(f"{field.name} is for {other}: leave it out")


_ONLY = {"molecules": ("large", "sampler", "sector_limit", "full_sum_limit"), "lattices": ("state",)}

"""Options of the evaluation of a trained state."""

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from annotated_types import Ge, Interval

from hamiltonians import InputError
from nnbf._options import Checked, Positive, Seed


@dataclass(frozen=True)
class EvaluationOptions(Checked):
    """How far the energy of a trained state is sampled. In Hartree (lattices: in t) and seconds."""

    precision: Positive = 1e-4
    """Sample until the standard error of the energy is at most this."""
    time_limit: Positive = 600.0
    """Stop after this many seconds; what was sampled until then counts."""
    samples: Annotated[int, Ge(1)] | None = None
    """Stop after this many samples; left out: no limit."""
    seed: Seed = 0
    """Seed of the samples."""
    large: Annotated[int, Ge(1)] = 16384
    """Molecules: determinants of largest amplitude summed exactly; at most a quarter of the sector."""
    sampler: Literal["auto", "sector", "metropolis"] = "auto"
    """Molecules: independent samples with all amplitudes of the sector tabulated, or metropolis chains."""
    sector_limit: Annotated[int, Ge(0)] = 6_000_000
    """Molecules: tabulate the whole symmetry sector when it has at most this many determinants (pairs count
    once)."""
    full_sum_limit: Annotated[int, Ge(0)] = 500_000
    """Molecules: also sum over the whole sector, for comparison, up to this many determinants."""
    chains: Annotated[int, Ge(2)] = 64
    """Metropolis chains."""


#: Options that mean something for molecules alone.
OF_MOLECULES = ("large", "sampler", "sector_limit", "full_sum_limit")


@dataclass(frozen=True)
class LatticeEvaluationOptions(Checked):
    """What is sampled of a lattice run, and from which distribution."""

    state: str = ""
    """Level to sample, by the name of its file in states/, such as 0-0_B2_0; left out: the lowest."""
    power: Annotated[float, Interval(ge=1, le=2)] | None = None
    """Draw from |psi| to this power, from 1 to 2, and weigh the samples; left out: what a first round finds
    best."""
    observables: bool = True
    """Correlations, symmetry and spin from the same samples."""


def require_default(options: Any, names: tuple[str, ...], what: str) -> None:
    """Require that options which mean nothing here were not given.

    Args:
        options: A data class of options.
        names: Those that mean nothing.
        what: What is sampled instead, such as "molecules".

    Raises:
        InputError: One is not at its default.
    """
    for field in fields(options):
        if field.name in names and getattr(options, field.name) != field.default:
            raise InputError(f"{field.name} is for {what}: leave it out")

"""Options of the evaluation of a trained state."""

from dataclasses import dataclass, fields
from typing import Any, Literal

from hamiltonians import InputError


@dataclass(frozen=True)
class EvaluationOptions:
    """How far the energy of a trained state is sampled. In Hartree (lattices: in t) and seconds."""

    precision: float = 1e-4
    """Sample until the standard error of the energy is at most this."""
    time_limit: float = 600.0
    """Stop after this many seconds; what was sampled until then counts."""
    samples: int | None = None
    """Stop after this many samples; left out: no limit."""
    seed: int = 0
    """Seed of the samples."""
    large: int = 16384
    """Molecules: determinants of largest amplitude summed exactly; at most a quarter of the sector."""
    sampler: Literal["auto", "sector", "metropolis"] = "auto"
    """Molecules: independent samples with all amplitudes of the sector tabulated, or metropolis chains."""
    sector_limit: int = 6_000_000
    """Molecules: tabulate the whole symmetry sector when it has at most this many determinants (pairs count
    once)."""
    full_sum_limit: int = 500_000
    """Molecules: also sum over the whole sector, for comparison, up to this many determinants."""
    chains: int = 64
    """Metropolis chains."""

    def __post_init__(self):
        for name in ("precision", "time_limit"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be positive, got {getattr(self, name)}")
        for name, least in {
            "seed": 0,
            "large": 1,
            "sector_limit": 0,
            "full_sum_limit": 0,
            "chains": 2,
            "samples": 1,
        }.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.sampler not in ("auto", "sector", "metropolis"):
            raise InputError(f"sampler must be auto, sector or metropolis, got {self.sampler!r}")


#: Options that mean something for molecules alone.
OF_MOLECULES = ("large", "sampler", "sector_limit", "full_sum_limit")


@dataclass(frozen=True)
class LatticeEvaluationOptions:
    """What is sampled of a lattice run, and from which distribution."""

    state: str = ""
    """Level to sample, by the name of its file in states/, such as 0-0_B2_0; left out: the lowest."""
    power: float | None = None
    """Draw from |psi| to this power, from 1 to 2, and weigh the samples; left out: what a first round finds
    best."""
    observables: bool = True
    """Correlations, symmetry and spin from the same samples."""

    def __post_init__(self):
        if self.power is not None and not 1.0 <= self.power <= 2.0:
            raise InputError(f"power must lie in [1, 2], got {self.power}")


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
            raise InputError(f"--{field.name.replace('_', '-')} is for {what}: leave it out")

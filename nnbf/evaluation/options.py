"""Options of the evaluation of a trained state."""

from dataclasses import dataclass
from typing import Literal

from hamiltonians import InputError


@dataclass(frozen=True)
class EvaluationOptions:
    """How far the energy of a trained state is sampled. Energies in Hartree, times in seconds."""

    precision: float = 1e-4
    """Sample until the standard error of the energy is at most this."""
    time_limit: float = 600.0
    """Stop after this many seconds; what was sampled until then counts."""
    seed: int = 0
    """Seed of the samples."""
    large: int = 16384
    """Determinants of largest amplitude that are summed exactly; at most a quarter of the sector."""
    sampler: Literal["auto", "sector", "metropolis"] = "auto"
    """sector: independent samples, amplitudes of the whole sector tabulated; metropolis: chains."""
    sector_limit: int = 6_000_000
    """Tabulate the whole symmetry sector when it has at most this many determinants (pairs count once)."""
    full_sum_limit: int = 500_000
    """Also sum over the whole sector when it has at most this many determinants (for comparison)."""
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
        }.items():
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.sampler not in ("auto", "sector", "metropolis"):
            raise InputError(f"sampler must be auto, sector or metropolis, got {self.sampler!r}")

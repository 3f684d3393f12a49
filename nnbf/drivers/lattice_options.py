"""Options of lattice runs; importing them does not load NetKet."""

from dataclasses import dataclass
from typing import Literal

from hamiltonians.errors import InputError


@dataclass(frozen=True)
class LatticeOptions:
    """Network, orbitals and optimisation of lattice models. Energies are in units of t."""

    features: int = 8
    """Width of the convolutional network."""
    depth: int = 2
    """Convolutions of the network."""
    kernel: int = 3
    """Extent of a convolution, in unit cells."""
    backflow: Literal["multiplicative", "additive", "both", "none"] = "multiplicative"
    """How outputs of the network change the orbitals; none: Slater determinants and Jastrow factor."""
    n_determinants: int = 1
    """Fillings of free orbitals, from the lowest in energy, that are added up."""
    cell: tuple[int, ...] = (1, 1)
    """Unit cell of the orbitals: 1,1 for plane waves (one determinant has a momentum exactly), the size of
    the lattice for orbitals that are free to vary (a sum over all translations)."""
    jastrow: bool = True
    """Density-density Jastrow factor, one parameter for each distance."""
    noise: float = 0.05
    """Scale of the initial random output weights."""
    seed: int = 0
    """Seed of the initial parameters."""
    damping: float = 1e-3
    """Initial damping of the optimiser."""
    dense_limit: int = 3000
    """Largest number of coordinates for which steps are solved directly; above by conjugate gradients."""
    tolerance: float = 1e-8
    """A level has settled when five steps in a row change it by less than this, relative to its size."""
    max_steps: int = 200
    """Most steps for each level."""
    full_sum_limit: int = 50_000
    """Largest sector (states) that is summed."""

    def __post_init__(self):
        for name, least in {
            "features": 1,
            "depth": 1,
            "kernel": 1,
            "n_determinants": 1,
            "seed": 0,
            "dense_limit": 0,
            "max_steps": 1,
            "full_sum_limit": 1,
        }.items():
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name, most in {"features": 4096, "depth": 100, "kernel": 101, "n_determinants": 1000}.items():
            if getattr(self, name) > most:
                raise InputError(f"{name} must be at most {most}, got {getattr(self, name)}")
        for name in ("damping", "tolerance"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be positive, got {getattr(self, name)}")
        if len(self.cell) != 2 or min(self.cell) < 1:
            raise InputError(
                f"cell {','.join(map(str, self.cell))}: give two whole numbers from 1, such as 1,1"
            )
        if self.backflow not in ("multiplicative", "additive", "both", "none"):
            raise InputError(
                f"backflow must be multiplicative, additive, both or none, got {self.backflow!r}"
            )

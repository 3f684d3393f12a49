"""Options of a response, and the grid of its curves."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge

from nnbf._options import Checked, Positive, Seed

HARTREE_EV = 27.211386245988
"""Electronvolts in a Hartree (CODATA 2018)."""

_MARGIN = 8.0  # broadenings beyond the outermost peaks


@dataclass(frozen=True)
class ResponseOptions(Checked):
    """Operator, space and curves of a response."""

    operator: str = "auto"
    """Molecules: dipole (absorption), removal (ionisation: photoelectron spectrum), addition (electron
    affinities); lattices: density, spin, spin-plus, spin-minus, current (optical conductivity), removal,
    addition (both: A(k, omega)). auto: dipole, or density."""
    momenta: str = ""
    """Lattices: momenta such as "1,0 2,2", G, X, M or path; left out: along G-X-M-G where the lattice has
    that way, else all."""
    state: str = ""
    """Lattices: level, by the name of its file in states/; left out: the lowest."""
    max_space: Annotated[int, Ge(16)] = 20_000
    """Configurations of the space that O|psi> is propagated in, at most; it holds all that H reaches where
    these are fewer, and the response of psi is then exact."""
    steps: Annotated[int, Ge(2)] = 150
    """Lanczos steps; of a block of b operators at most 600 / b."""
    samples: Annotated[int, Ge(64)] = 8192
    """Lattices with too many configurations for a list: samples of |psi|^2 that moments of densities and of
    spins come from."""
    seed: Seed = 0
    """Seed of the samples."""
    broadening: Positive | None = None
    """Half width of the peaks of the curve, in its unit; left out: 0.1."""
    shape: Literal["lorentzian", "gaussian"] = "lorentzian"
    """Shape of the peaks; of a Gaussian the broadening is the standard deviation."""
    unit: Literal["auto", "eV", "Hartree", "t"] = "auto"
    """Unit of energies in curves and tables: eV or Hartree of molecules, t of lattices; auto: eV, or t."""
    omega_min: float | None = None
    """Begin of the curve; left out: below the lowest peak that shows."""
    omega_max: float | None = None
    """End of the curve; left out: above the highest peak that shows, of absorption at most 40 eV above the
    lowest."""
    points: Annotated[int, Ge(2)] = 801
    """Points of the curve."""
    yardstick: bool = True
    """Compute the response of the eigenvector of H on the same configurations, too: exact where these are
    all, and the curve that the network's is compared with."""

    @property
    def width(self) -> float:
        """Broadening in the unit of the curve."""
        return 0.1 if self.broadening is None else self.broadening

    def grid(self, positions: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Frequencies (points,) of the curve.

        Args:
            positions: (K,) peaks, in the unit of the curve.
            weights: (K,) their strengths.
        """
        size = np.abs(weights)
        shown = positions[size > 2e-3 * size.max(initial=0.0)] if len(size) else positions
        low, high = (shown.min(), shown.max()) if len(shown) else (0.0, 1.0)
        margin = _MARGIN * self.width
        low = low - margin if self.omega_min is None else self.omega_min
        high = high + margin if self.omega_max is None else self.omega_max
        return np.linspace(low, max(high, low + margin), self.points)

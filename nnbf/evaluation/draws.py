r"""What the estimator takes from a source of samples: per-sample values whose means are E and <E_loc^2>.

All energies are relative to a reference energy E_0, which keeps second moments free of cancellation:
:math:`\sigma^2 = \langle (E_{loc} - E_0)^2 \rangle - (E - E_0)^2`.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True, eq=False)
class Draw:
    """A batch of samples, (chains, length)."""

    energy: np.ndarray
    """Values whose mean is ``E - E_0``, Hartree."""
    energy_controls: np.ndarray
    """(chains, length, k) values of mean zero."""
    second: np.ndarray
    """Values whose mean is ``<(E_loc - E_0)^2>``, Hartree^2."""
    second_controls: np.ndarray
    """(chains, length, k) values of mean zero."""
    outside: np.ndarray
    """Values whose mean is the weight outside L."""


class SampleSource(Protocol):
    """Draws samples of a state."""

    method: str
    """sector or metropolis."""
    independent: bool
    """Whether samples are independent of each other."""
    reference: float
    """E_0, Hartree."""
    n_large: int
    """Determinants that are summed exactly."""

    @property
    def exact(self) -> tuple[float, float] | None:
        """``(E - E_0, <(E_loc - E_0)^2>)`` where nothing is left to sample, else None."""

    @property
    def n_unique(self) -> int:
        """Distinct determinants drawn so far."""

    @property
    def acceptance(self) -> float | None:
        """Share of accepted moves; None where there are no moves."""

    def draw(self, n_samples: int) -> Draw:
        """Return about this many new samples."""


def as_chains(values: np.ndarray, chains: int) -> np.ndarray:
    """Cut independent samples (chains * length, ...) into chains, so that split R-hat can be taken."""
    return values.reshape(chains, -1, *values.shape[1:])

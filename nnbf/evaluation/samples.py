r"""Samples of a state with values whose means are its energy and second moment; what draws them.

All energies are relative to a reference energy E_0, which keeps second moments free of cancellation:
:math:`\sigma^2 = \langle (E_{loc} - E_0)^2 \rangle - (E - E_0)^2`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples of |psi|^p, (chains, length)."""

    energy: np.ndarray
    """Values whose mean is ``E - E_0``."""
    second: np.ndarray
    """Values whose mean is ``<|E_loc - E_0|^2>``."""
    energy_controls: np.ndarray | None = None
    """(chains, length, k) values of mean zero."""
    second_controls: np.ndarray | None = None
    """(chains, length, k) values of mean zero."""
    outside: np.ndarray | None = None
    """Values whose mean is the weight outside what is summed exactly; None where nothing is."""
    log_abs: np.ndarray | None = None
    """log|psi|; None where samples need no weights."""
    packed: np.ndarray | None = None
    """(chains, length, bytes) uint8: occupations as bits; None where samples are not of the whole state."""
    n_modes: int = 0
    """Modes of a configuration."""
    power: float = 2.0
    """p; each sample counts |psi|^(2 - p)."""
    independent: bool = False
    """True where samples are independent of each other."""

    @classmethod
    def joined(cls, parts: "Sequence[Samples]") -> "Samples":
        """Join samples that continue the same chains."""
        arrays = {name: value for name, value in vars(parts[0]).items() if isinstance(value, np.ndarray)}
        joined = {name: np.concatenate([getattr(part, name) for part in parts], axis=1) for name in arrays}
        return replace(parts[0], **joined)  # type: ignore[arg-type]

    @property
    def weights(self) -> np.ndarray:
        """|psi|^(2 - p), (chains, length), mean 1."""
        if self.log_abs is None:
            return np.ones_like(self.energy)
        weights = np.exp((2.0 - self.power) * (self.log_abs - self.log_abs.max()))
        return weights / weights.mean()

    def thinned(self, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Occupations (chains, length', modes) int8 of at most so many samples, evenly spaced, and weights.

        Of every chain at least one is kept.
        """
        assert self.packed is not None
        every = max(1, -(-self.energy.size // most))
        bits = np.unpackbits(self.packed[:, ::every], axis=-1, count=self.n_modes)
        return bits.astype(np.int8), self.weights[:, ::every]

    def count_distinct(self) -> int:
        """Distinct configurations."""
        assert self.packed is not None
        return len(np.unique(self.packed.reshape(-1, self.packed.shape[-1]), axis=0))


class SampleSource(Protocol):
    """Draws samples of a state."""

    method: str
    """sector or metropolis."""
    granule: int
    """Samples of one call of the sampler: the fewest of a round."""
    reference: float
    """E_0."""
    n_large: int | None
    """Configurations that are summed exactly; None where nothing is."""
    unit: str
    """Hartree or t."""
    n_particles: int
    """Particles, for the V-score."""
    infinite_temperature: float
    """Energy of the completely mixed state, for the V-score."""
    chains: int | None
    """Metropolis chains; None for independent samples."""
    sweep_size: int | None
    """Proposals between two samples of a chain; None without chains."""

    @property
    def exact(self) -> tuple[float, float] | None:
        """``(E - E_0, <(E_loc - E_0)^2>)`` where nothing is left to sample, else None."""

    @property
    def power(self) -> float | None:
        """Power of |psi| that is sampled; None where it is another distribution."""

    @property
    def acceptance(self) -> float | None:
        """Share of accepted moves; None where there are no moves."""

    def n_unique(self, drawn: Samples) -> int:
        """Distinct configurations among the samples."""

    def draw(self, n_samples: int) -> Samples:
        """Return about this many new samples."""

    def change_power(self, power: float) -> None:
        """Go on with samples of another power."""


def as_chains(values: np.ndarray, chains: int) -> np.ndarray:
    """Cut independent samples (chains * length, ...) into chains."""
    return values.reshape(chains, -1, *values.shape[1:])

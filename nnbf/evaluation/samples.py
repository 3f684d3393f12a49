r"""Samples of a state with values whose means are its energy and second moment; what draws them.

All energies are relative to a reference energy E_0, which keeps second moments free of cancellation:
:math:`\sigma^2 = \langle (E_{loc} - E_0)^2 \rangle - (E - E_0)^2`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Interval, Le

from hamiltonians import InputError
from nnbf._options import Checked, Positive, Seed

Note = Callable[[str], None]
"""Told what is being done."""


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
        for name in self.without_effect(self.sampler):
            raise InputError(f"{name} has no effect with sampler {self.sampler}: leave it out")

    def without_effect(self, sampler: str) -> tuple[str, ...]:
        """Return the options that were given and mean nothing to the sampler that was found best."""
        names = _WITHOUT.get(sampler, ())
        return tuple(name for name in names if getattr(self, name) != getattr(EvaluationOptions, name))


_WITHOUT = {"sector": ("chains", "power"), "metropolis": ("sector_limit", "full_sum_limit")}
_ONLY = {"molecules": ("large", "sampler", "sector_limit", "full_sum_limit"), "lattices": ("state",)}


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
    peaked: bool = False
    """True where few configurations carry most of the weight: those drawn once then count as a sign of others
    that were not drawn at all."""

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

    @property
    def drawn_once(self) -> np.ndarray:
        """Mask (chains, length): samples of a configuration that no other sample is of."""
        assert self.packed is not None
        rows = self.packed.reshape(-1, self.packed.shape[-1])
        _, of_sample, counts = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
        return (counts == 1)[of_sample.ravel()].reshape(self.packed.shape[:-1])

    def largest(self, most: int) -> np.ndarray:
        """Occupations (n, modes) int8 of the configurations of largest amplitude, each once."""
        assert self.packed is not None
        assert self.log_abs is not None
        rows = self.packed.reshape(-1, self.packed.shape[-1])
        distinct, first = np.unique(rows, axis=0, return_index=True)
        order = np.argsort(-self.log_abs.ravel()[first], kind="stable")[:most]
        return np.unpackbits(distinct[order], axis=-1, count=self.n_modes).astype(np.int8)

    def share(self, occupations: np.ndarray) -> float:
        """Share of |psi|^2 that the samples have in some configurations (n, modes)."""
        assert self.packed is not None
        listed = np.packbits(np.asarray(occupations) > 0, axis=-1)
        _, group = np.unique(
            np.concatenate([listed, self.packed.reshape(-1, self.packed.shape[-1])]),
            axis=0,
            return_inverse=True,
        )
        group = group.ravel()
        inside = np.isin(group[len(listed) :], group[: len(listed)])
        return float(np.mean(inside * self.weights.ravel()))

    def count_distinct(self) -> int:
        """Distinct configurations."""
        assert self.packed is not None
        return len(np.unique(self.packed.reshape(-1, self.packed.shape[-1]), axis=0))


class SampleSource(ABC):
    """Draws samples of a state."""

    method: str
    """sector or metropolis."""
    unit: str
    """Hartree or t."""
    granule: int
    """Samples of one call of the sampler: the fewest of a round."""
    reference: float
    """E_0."""
    n_particles: int
    """Particles, for the V-score."""
    infinite_temperature: float
    """Energy of the completely mixed state, for the V-score."""
    n_large: int | None = None
    """Configurations that are summed exactly; None where nothing is."""
    chains: int | None = None
    """Metropolis chains; None for independent samples."""
    sweep_size: int | None = None
    """Proposals between two samples of a chain; None without chains."""

    @property
    def exact(self) -> tuple[float, float] | None:
        """``(E - E_0, <(E_loc - E_0)^2>)`` where nothing is left to sample, else None."""
        return None

    @property
    def power(self) -> float | None:
        """Power of |psi| that is sampled; None where it is another distribution."""
        return None

    @property
    def acceptance(self) -> float | None:
        """Share of accepted moves; None where there are no moves."""
        return None

    @abstractmethod
    def draw(self, n_samples: int) -> Samples:
        """Return about this many new samples."""

    def n_unique(self, drawn: Samples) -> int:
        """Distinct configurations among the samples (flip pairs count once)."""
        return drawn.count_distinct()

    def change_power(self, power: float) -> None:
        """Go on with samples of another power, where it is one."""
        raise ValueError(f"{type(self).__name__} draws from no power of |psi|")


def as_chains(values: np.ndarray, chains: int) -> np.ndarray:
    """Cut independent samples (chains * length, ...) into chains."""
    return values.reshape(chains, -1, *values.shape[1:])

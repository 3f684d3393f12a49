r"""Samples where psi is tabulated on the whole symmetry sector: only what is outside L is drawn.

With psi normalised on L, :math:`Z = 1 + N_o`, and :math:`h^L, h^o` the two parts of
:math:`(H - E_0)\psi` (:mod:`nnbf.evaluation.amplitude_table`), the energy is

.. math:: E - E_0 = \frac1Z \Big[ \langle L|H - E_0|L\rangle + 2 \sum_{i \notin L} \psi_i h^L_i
    + \sum_{i \notin L} \psi_i h^o_i \Big]

Everything but the last sum is exact: h^L is scattered from the rows of L. The last sum is estimated from
determinants drawn with probability q; psi h^L, psi^2 H_ii and psi^2, whose sums are known, are
control variates. q is a third each of |psi|^2, of |psi| and of a constant: the values averaged are at most
3 psi h^o / |psi| for the energy and 3 (H psi)^2 over the constant for the second moment, so that no sample
weighs arbitrarily much where psi is small. (Without the constant the second moment had, on determinants whose
psi is small by chance, a kurtosis of 10^5, and error bars from a few thousand samples did not cover.)
"""

import numpy as np

from nnbf.determinants import diagonal_elements, multiplicities, spin_flip, unpack_occupations
from nnbf.evaluation.amplitude_table import AmplitudeTable
from nnbf.evaluation.samples import Samples, as_chains
from nnbf.observables import Configurations

CHAINS = 32
#: Determinants of a sector up to which observables are summed over all of it.
EXACT = 100_000


class SectorSource:
    """Independent samples from the part of a sector that is not summed exactly."""

    method = "sector"
    granule = 4096
    unit = "Hartree"
    power = acceptance = chains = sweep_size = None

    def __init__(
        self,
        table: AmplitudeTable,
        multiplicity: np.ndarray,
        reference: float,
        rng: np.random.Generator,
        *,
        infinite_temperature: float = 0.0,
    ):
        """Sum what is summed exactly.

        Args:
            table: The whole sector, L first. Its amplitudes are normalised on L here, and its shift set.
            multiplicity: How many determinants each entry stands for, (n,).
            reference: E_0, Hartree.
            rng: Source of randomness.
            infinite_temperature: Energy of the completely mixed state, Hartree.
        """
        self.n_particles, self.infinite_temperature = sum(table.counts), infinite_temperature
        self._table, self._rng = table, rng
        self.reference, self.n_large = reference, table.n_large
        table.shift = reference
        m, n = multiplicity, table.n_large
        table.amplitudes /= np.sqrt(np.sum(m[:n] * table.amplitudes[:n] ** 2))
        psi = table.amplitudes
        self._h_large = table.reached_from_large(m)
        _, other = table.rows(table.determinants[:n])
        self._multiplicity = m[n:]
        self._psi = psi[n:]
        self._reached = self._h_large[n:]
        self._diagonal = (diagonal_elements(table.tables, table.determinants[n:]) - reference) * self._psi
        weights = self._multiplicity * self._psi**2
        self._norm = 1.0 + float(np.sum(weights))
        own = float(np.sum(m[:n] * psi[:n] * self._h_large[:n]))
        cross = float(np.sum(m[:n] * psi[:n] * other))
        self._energy = own + 2.0 * cross
        self._second = float(np.sum(m[:n] * (self._h_large[:n] + other) ** 2))
        self._known = np.stack(self._known_terms(slice(None)), axis=1)
        self._totals = self._multiplicity @ self._known
        self._other = np.full(len(self._psi), np.nan)
        self._probability = self._cumulative = None
        if self._norm > 1.0:
            absolute = self._multiplicity * np.abs(self._psi)
            uniform = np.where(self._psi != 0, self._multiplicity, 0)
            q = sum(part / np.sum(part) for part in (weights, absolute, uniform)) / 3.0
            self._probability, self._cumulative = q, np.cumsum(q)

    @property
    def size(self) -> int:
        """Determinants of the sector (flip pairs count once)."""
        return self.n_large + len(self._psi)

    @property
    def outside(self) -> float:
        """Weight of all that is not in L."""
        return 1.0 - 1.0 / self._norm

    @property
    def exact(self) -> tuple[float, float] | None:
        """Energy and second moment where psi vanishes outside L."""
        return None if self._probability is not None else (self._energy, self._second)

    def n_unique(self, drawn: Samples) -> int:
        """Distinct determinants drawn so far, those of the pilot round included."""
        return int(np.count_nonzero(np.isfinite(self._other)))

    def draw(self, n_samples: int) -> Samples:
        """Draw independent determinants outside L."""
        assert self._cumulative is not None
        assert self._probability is not None
        length = max(4, -(-n_samples // CHAINS))
        uniform = self._rng.random(CHAINS * length) * self._cumulative[-1]
        drawn = np.minimum(np.searchsorted(self._cumulative, uniform, side="right"), len(self._psi) - 1)
        energy, second, controls = self.values(drawn)
        return Samples(
            energy=as_chains(energy, CHAINS),
            energy_controls=as_chains(controls[:, :3], CHAINS),
            second=as_chains(second, CHAINS),
            second_controls=as_chains(controls[:, 3:], CHAINS),
            outside=np.full((CHAINS, length), self.outside),
            independent=True,
        )

    def configurations(self, drawn: Samples, most: int) -> Configurations:
        """The whole sector with psi up to `EXACT` determinants, else samples of |psi|^2 on it.

        Args:
            drawn: Samples of the energy; they are those of another distribution.
            most: Samples, at most.
        """
        table = self._table
        if self.size <= EXACT:
            return Configurations.expansion(
                table.determinants,
                table.amplitudes,
                table.tables.n_orbitals,
                spin_flip=table.spin_flip,
                kind="full_sum",
            )
        weights = multiplicities(table.determinants, table.spin_flip) * table.amplitudes**2
        length = max(1, most // CHAINS)
        chosen = self._rng.choice(len(weights), size=(CHAINS, length), p=weights / weights.sum())
        rows = table.determinants[chosen.ravel()]
        if table.spin_flip:
            turned = self._rng.random(len(rows)) < 0.5
            rows = np.where(turned[:, None], spin_flip(rows), rows)
        occupations = unpack_occupations(rows, table.tables.n_orbitals)
        return Configurations.sampled(occupations.reshape(CHAINS, length, -1))

    def change_power(self, power: float) -> None:
        """Refuse: the distribution is one of its own."""
        raise ValueError("samples of a tabulated sector are of no power of |psi|")

    @property
    def probability(self) -> np.ndarray | None:
        """Chance q (n,) of every determinant outside L; None where psi vanishes there."""
        return self._probability

    def values(self, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Energies (n,), second moments (n,) and controls (n, 6) of determinants by their place outside L.

        Under q their means are ``E - E_0``, ``<(E_loc - E_0)^2>`` and zero.
        """
        assert self._probability is not None
        self._complete(np.unique(drawn))
        scale = self._multiplicity[drawn] / (self._probability[drawn] * self._norm)
        other, reached = self._other[drawn], self._reached[drawn]
        energy = self._energy / self._norm + scale * self._psi[drawn] * other
        second = self._second / self._norm + scale * (reached + other) ** 2
        controls = scale[:, None] * self._known[drawn] - self._totals / self._norm
        return energy, second, controls

    def full_sum(self) -> tuple[float, float]:
        """Energy and variance by summing everything (Hartree, Hartree^2)."""
        self._complete(np.arange(len(self._psi)))
        m = self._multiplicity
        energy = (self._energy + float(np.sum(m * self._psi * self._other))) / self._norm
        second = (self._second + float(np.sum(m * (self._reached + self._other) ** 2))) / self._norm
        return self.reference + energy, second - energy**2

    def _known_terms(self, part):
        psi, diagonal = self._psi[part], self._diagonal[part]
        # Where psi vanishes nothing is drawn: that must not count among the known sums either.
        reached = np.where(psi != 0, self._reached[part], 0.0)
        return psi * reached, psi * diagonal, psi**2, reached**2, reached * diagonal, diagonal**2

    def _complete(self, positions):
        missing = positions[np.isnan(self._other[positions])]
        if len(missing):
            _, self._other[missing] = self._table.rows(self._table.determinants[self.n_large + missing])

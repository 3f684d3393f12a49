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
from nnbf.evaluation.amplitude_table import AmplitudeTable, signed_log
from nnbf.evaluation.samples import EvaluationOptions, Samples, SampleSource, as_chains
from nnbf.observables import Configurations
from nnbf.states import SpaceState

CHAINS = 32
#: Determinants of a sector up to which observables are summed over all of it.
EXACT = 100_000


class SectorSource(SampleSource):
    """Independent samples from the part of a sector that is not summed exactly."""

    method = "sector"
    granule = 4096
    unit = "Hartree"
    n_large: int

    def __init__(self, state: SpaceState, sector: np.ndarray, options: EvaluationOptions):
        """Evaluate psi everywhere, and sum what is summed exactly.

        Args:
            state: The trained state.
            sector: (n, 2 W) bit strings. L is the ``options.large`` of largest weight.
            options: Size of L, seed.

        Raises:
            FloatingPointError: Amplitudes are not finite.
        """
        hamiltonian = state.hamiltonian
        self.n_particles = hamiltonian.n_electrons
        self.infinite_temperature = hamiltonian.infinite_temperature_energy()
        self._rng = np.random.default_rng(options.seed)
        sign, log_abs = signed_log(state, sector)
        psi = sign * np.exp(log_abs - np.max(log_abs))
        order = np.argsort(-multiplicities(sector, state.spin_flip) * psi**2, kind="stable")
        # Not all: that part which is sampled stays a check of what is summed.
        n = max(1, min(options.large, len(sector) // 4))
        self._table = table = AmplitudeTable(state, sector[order], psi[order], n)
        self.reference, self.n_large = table.reference, n
        psi, m = table.amplitudes, table.multiplicity
        psi /= np.sqrt(np.sum(m[:n] * psi[:n] ** 2))
        reached = table.reached_from_large()
        _, other = table.rows(table.determinants[:n])
        self._multiplicity, self._psi, self._reached = m[n:], psi[n:], reached[n:]
        diagonal = diagonal_elements(hamiltonian.tables, table.determinants[n:]) - self.reference
        self._diagonal = diagonal * self._psi
        weights = self._multiplicity * self._psi**2
        self._norm = 1.0 + float(np.sum(weights))
        own = float(np.sum(m[:n] * psi[:n] * reached[:n]))
        cross = float(np.sum(m[:n] * psi[:n] * other))
        self._energy = own + 2.0 * cross
        self._second = float(np.sum(m[:n] * (reached[:n] + other) ** 2))
        self._known = np.stack(self._known_terms(), axis=1)
        self._totals = self._multiplicity @ self._known
        self._other = np.full(len(self._psi), np.nan)
        self.probability: np.ndarray | None = None
        """Chance q (n,) of every determinant outside L; None where psi vanishes there."""
        if self._norm > 1.0:
            absolute = self._multiplicity * np.abs(self._psi)
            uniform = np.where(self._psi != 0, self._multiplicity, 0)
            self.probability = sum(part / np.sum(part) for part in (weights, absolute, uniform)) / 3.0
            self._cumulative = np.cumsum(self.probability)

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
        return None if self.probability is not None else (self._energy, self._second)

    def n_unique(self, drawn: Samples) -> int:
        """Distinct determinants drawn so far, those of the pilot round included."""
        return int(np.count_nonzero(np.isfinite(self._other)))

    def draw(self, n_samples: int) -> Samples:
        """Draw independent determinants outside L."""
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
        table, n_orbitals = self._table, self._table.hamiltonian.n_orbitals
        if self.size <= EXACT:
            return Configurations.expansion(
                table.determinants, table.amplitudes, n_orbitals, spin_flip=table.spin_flip, kind="full_sum"
            )
        weights = table.multiplicity * table.amplitudes**2
        length = max(1, most // CHAINS)
        chosen = self._rng.choice(len(weights), size=(CHAINS, length), p=weights / weights.sum())
        rows = table.determinants[chosen.ravel()]
        if table.spin_flip:
            turned = self._rng.random(len(rows)) < 0.5
            rows = np.where(turned[:, None], spin_flip(rows), rows)
        occupations = unpack_occupations(rows, n_orbitals)
        return Configurations.sampled(occupations.reshape(CHAINS, length, -1))

    def values(self, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Energies (n,), second moments (n,) and controls (n, 6) of determinants by their place outside L.

        Under q their means are ``E - E_0``, ``<(E_loc - E_0)^2>`` and zero.
        """
        assert self.probability is not None
        self._complete(np.unique(drawn))
        scale = self._multiplicity[drawn] / (self.probability[drawn] * self._norm)
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

    def _known_terms(self):
        psi, diagonal = self._psi, self._diagonal
        # Where psi vanishes nothing is drawn: that must not count among the known sums either.
        reached = np.where(psi != 0, self._reached, 0.0)
        return psi * reached, psi * diagonal, psi**2, reached**2, reached * diagonal, diagonal**2

    def _complete(self, positions):
        missing = positions[np.isnan(self._other[positions])]
        if len(missing):
            _, self._other[missing] = self._table.rows(self._table.determinants[self.n_large + missing])

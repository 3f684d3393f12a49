"""How a variational space grows: sizes of its stages, and the determinants that come next."""

from dataclasses import dataclass

import numpy as np

from nnbf.determinants import multiplicities
from nnbf.determinants.parallel import sparse_times_vector
from nnbf.states import SpaceState
from nnbf.states.estimates import second_order_of
from nnbf.states.selected_ci import most_important


@dataclass(frozen=True)
class Growth:
    """Schedule of the variational space V.

    V starts as the reference determinant. When the energy on V has settled, the determinants that H
    reaches from V are ranked by their first-order amplitude ``|sum_i H_ji psi_i / (E - H_jj)|`` next to
    the amplitudes of V itself, and the largest make the next V. Growing in a few large stages, each
    converged loosely, is cheaper than growing at every step: nothing has to be rebuilt in between.
    """

    first_size: int = 256
    """Determinants after the first growth."""
    factor: float = 4.0
    """Ratio of the sizes of successive stages."""
    free_size: int = 4096
    """V grows to this size however small the second-order correction is (unless it is negligible)."""
    max_size: int = 50000
    """Largest V."""
    accuracy: float = 2e-4
    """Beyond ``free_size``, V grows until the second-order correction is below this, Hartree."""
    negligible: float = 1e-8
    """Below this second-order correction (Hartree) V never grows."""
    stage_tolerance: float = 0.02
    """A stage that will grow is done when a step gains less than this share of that correction."""
    screening: float = 1e-7
    """Couplings ``|H_ji psi_i|`` below this (Hartree) are skipped in the ranking."""

    sector: np.ndarray | None = None
    """The whole symmetry sector, (n, 2 W), where it is known: V ends as all of it if that is allowed."""

    def next_size(self, size: int) -> int:
        """Size of the stage after one of ``size`` determinants."""
        if size < self.first_size:
            return min(self.first_size, self.max_size)
        grown = int(size * self.factor)
        if size < self.free_size < grown:
            grown = self.free_size
        if self.final_sector is not None and 2 * grown >= len(self.final_sector):
            # A last step that takes all that is left beats two.
            grown = len(self.final_sector)
        return min(grown, self.max_size)

    def is_enough(self, size: int, omitted: float) -> bool:
        """True where V of so many determinants, that leaves out so much (Hartree), is kept."""
        settled = size >= self.free_size and omitted < self.accuracy
        return self.final_sector is None and (omitted < self.negligible or settled)

    @property
    def final_sector(self) -> np.ndarray | None:
        """The symmetry sector where V may become all of it, else None."""
        return self.sector if self.sector is not None and len(self.sector) <= self.max_size else None


@dataclass(frozen=True)
class GrowthStep:
    """Result of one growth."""

    determinants: np.ndarray
    """The new V, (n, 2 W), by falling amplitude."""
    second_order: float
    """Screened Epstein-Nesbet estimate of what the old V leaves out, Hartree (negative)."""
    n_connected: int
    """Determinants reached from the old V."""
    kept: float
    """Share of the new V that was in the old one."""
    energy: float
    """Energy of the state that ranks on the old V, Hartree (kind variational)."""
    variance: float
    """<(H - E)^2> of that state, the part that leaves V (screened) included, Hartree^2."""


def rank_connected(
    state: SpaceState, growth: Growth, size: int, amplitudes: np.ndarray | None = None
) -> GrowthStep:
    """Choose the ``size`` most important determinants of V and its connected space.

    Args:
        state: The state on the old V.
        growth: The schedule.
        size: Wanted size of the new V; all are taken where there are fewer.
        amplitudes: (n,) normalised state on V to rank with; default that of the network.
    """
    amplitudes = state.amplitudes() if amplitudes is None else amplitudes
    psi = amplitudes / np.sqrt(state.multiplicity)
    product = sparse_times_vector(state.matrix, amplitudes)
    energy = float(amplitudes @ product)
    threshold = 0.0 if len(psi) < 64 else growth.screening
    outside = state.hamiltonian.connected_space(state.determinants, psi, state.spin_flip, threshold)
    weight = multiplicities(outside.determinants, state.spin_flip)
    second_order = second_order_of(outside, energy, state.spin_flip)
    inside = float(np.sum((product - energy * amplitudes) ** 2))
    variance = inside + float(np.sum(weight * outside.couplings**2))
    sector = growth.final_sector
    if sector is not None and size >= len(sector):
        kept = len(psi) / len(sector)
        return GrowthStep(sector, second_order, len(outside.determinants), kept, energy, variance)
    chosen = most_important(state.determinants, psi, energy, outside, size, state.spin_flip)
    return GrowthStep(
        chosen.determinants, second_order, len(outside.determinants), chosen.kept, energy, variance
    )

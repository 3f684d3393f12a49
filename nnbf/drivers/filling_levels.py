"""Optimised levels of a lattice model at one filling, sector by sector, on all configurations."""

from dataclasses import dataclass, replace

import numpy as np

from hamiltonians import Lattice, Sector, all_sectors, space_group
from hamiltonians.lattice.exact import sector_basis
from hamiltonians.lattice.sector import Momentum
from nnbf.drivers.lattice_options import LatticeOptions
from nnbf.drivers.level import Level
from nnbf.drivers.monitor import Monitor, StoppedError
from nnbf.drivers.sector_loop import spectrum
from nnbf.estimate import Estimate
from nnbf.observables.quasiparticle import ConfigurationTable


@dataclass(frozen=True, eq=False)
class SpreadLevel:
    """A level, and its state on all configurations."""

    level: Level
    """The level; its energy is of kind ``full_sum``."""
    vectors: np.ndarray
    """(n_configurations, d) normalised: the partners in all rows of the irrep."""

    @property
    def energy(self) -> float:
        """Rayleigh quotient, units of t."""
        return float(self.level.energy)

    @property
    def variance(self) -> float:
        """Variance of H."""
        return self.level.energy.variance or 0.0

    @property
    def sector(self) -> Sector:
        """Symmetry sector."""
        assert self.level.sector is not None
        return self.level.sector

    def named(self, sector: Sector) -> "SpreadLevel":
        """The same in a sector that says more of its symmetry."""
        return replace(self, level=replace(self.level, sector=sector))


class FillingLevels:
    """Levels of one number of particles; each sector is solved once."""

    def __init__(
        self,
        model: Lattice,
        options: LatticeOptions,
        monitor: Monitor | None = None,
    ):
        """Prepare the space group and the list of configurations.

        Args:
            model: The model at this filling.
            options: Network, optimiser.
            monitor: Rows and stop requests.

        Raises:
            InputError: There are too many configurations to be listed.
        """
        self.model, self.group = model, space_group(model)
        self.table = ConfigurationTable(model)
        self._options = options
        self._monitor = None if monitor is None else monitor.for_particles(model.particles)
        self._known: dict[tuple[Momentum, str | None], list[SpreadLevel]] = {}

    def search(self) -> list[SpreadLevel]:
        """The lowest level of every inequivalent momentum."""
        momenta = [sector.momentum for sector in all_sectors(self.model, irreps=False)]
        return [self.levels(momentum, None, 1)[0] for momentum in momenta]

    def ground(self) -> SpreadLevel:
        """The lowest level of all, solved again in its irrep: to have the label, and for a better state."""
        best = min(self.search(), key=lambda level: level.energy)
        shares = self.shares(best)
        sector = self._sector(best.sector.momentum, max(shares, key=lambda name: shares[name]))
        if sector.n_states == best.sector.n_states:
            return best.named(sector)
        found = self.levels(sector.momentum, sector.irrep, 1)
        # Where that went astray, the level of the momentum is as good, without a name.
        limit = best.energy + 1e-4 * max(1.0, abs(best.energy))
        return found[0] if found and found[0].energy < limit else best

    def levels(self, momentum: Momentum, irrep: str | None, count: int) -> list[SpreadLevel]:
        """The lowest levels of a momentum, or of an irrep there; fewer than `count` where there are fewer."""
        sector = self._sector(momentum, irrep)
        count = min(count, sector.n_states)
        known = self._known.get((momentum, irrep), [])
        if len(known) < count:
            known = self._exact(sector) if sector.n_states == 1 else self._solve(sector, count)
            self._known[momentum, irrep] = known
        return known[:count]

    def shares(self, level: SpreadLevel) -> dict[str, float]:
        """Share of each irrep of the little group in a level of a momentum."""
        momentum, vector = level.sector.momentum, level.vectors[:, 0]
        step = len(self.group.cell_translations)
        elements = [p * step for p in self.group.little_group(momentum)]
        overlaps = np.array(
            [
                np.vdot(vector, self.table.moved(vector, self.group.permutations[g], self.group.phases[g]))
                for g in elements
            ]
        )
        found = {}
        for irrep in self.group.irreps(momentum):
            matrices = self.group.sector(momentum, irrep.name).representation[::step]
            characters = np.trace(matrices, axis1=1, axis2=2)
            found[irrep.name] = float((characters.conj() @ overlaps).real * matrices.shape[1] / len(elements))
        return found

    def _sector(self, momentum: Momentum, irrep: str | None) -> Sector:
        sector = self.group.sector(momentum, irrep)
        return sector if sector.dimension == 1 else self.group.sector(momentum, irrep, row=0)

    def _solve(self, sector: Sector, count: int) -> list[SpreadLevel]:
        basis = sector_basis(self.model, sector)
        outcome = spectrum(
            self.model, [sector], self._options, levels=count, exact_limit=0, monitor=self._monitor
        )
        if len(outcome.levels) < count:
            raise StoppedError("stopped before all levels were there")
        found = []
        for level in outcome.levels:
            coordinates = level.state.vector()[:, None]
            rows = [basis.expand(coordinates, row) for row in range(sector.dimension)]
            found.append(SpreadLevel(level, np.concatenate(rows, axis=1)))
        return found

    def _exact(self, sector: Sector) -> list[SpreadLevel]:
        """The only state of a sector: there is nothing to optimise."""
        basis = sector_basis(self.model, sector)
        rows = [basis.expand(np.ones((1, 1)), row) for row in range(sector.dimension)]
        energy = float(basis.matrix().toarray()[0, 0].real)
        level = Level(
            problem=self.model,
            energy=Estimate(energy, 0.0, "full_sum", unit="t", upper_bound=True, variance=0.0),
            status="exact",
            n_steps=0,
            n_parameters=0,
            wall_time_s=0.0,
            model=None,
            parameters=None,
            sector=sector,
        )
        return [SpreadLevel(level, np.concatenate(rows, axis=1))]

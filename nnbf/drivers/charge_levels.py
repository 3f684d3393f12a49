"""Charge excitations of a lattice model from optimised states: chemical potentials, gap, Z_k.

Levels of N, N - 1 and N + 1 particles by full summation. The state of N particles is searched over all
momenta; levels with a particle less or more are then sought in the sectors that c_k or c_k^+ can reach from
it, which need not hold the lowest level of their momentum.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hamiltonians import InputError, Lattice, Sector, all_sectors, space_group
from hamiltonians.lattice.exact import SectorBasis, sector_basis
from hamiltonians.lattice.sector import Momentum
from nnbf.drivers.calculation import spectrum
from nnbf.drivers.level import Level
from nnbf.drivers.monitor import Monitor, StoppedError
from nnbf.drivers.options import LatticeOptions
from nnbf.estimate import Estimate
from nnbf.observables.quasiparticle import (
    ConfigurationTable,
    Removal,
    SampledWave,
    one_particle,
    plane_wave,
    sampled_weight,
)
from nnbf.observables.spectral_function import (
    ChargeExcitations,
    Excitation,
    coupling_irreps,
    neighbouring_models,
    particle_momenta,
    target_momentum,
)
from nnbf.states.amplitudes import log_psi_function
from nnbf.states.markov_chains import change_power

if TYPE_CHECKING:
    import netket as nk

#: Share of an irrep in a level of a momentum from which on the level is one of that irrep.
PURE = 0.999
#: ... if its variance (t^2) is below this: the irrep alone is smaller, and a better state is found there.
SHARP = 1e-6
#: Where the levels found carry less than this share of the sum rule, so many above them are sought, too: a
#: small torus has symmetries beyond its point group.
NO_WEIGHT, MOST_ABOVE = 1e-4, 3
#: ... if the sum rule is more than this.
LEAST_SUM = 1e-3
#: Levels of N particles closer than this, relative to their size, are reported as degenerate.
SAME_LEVEL = 1e-6


def charge_excitations(
    model: Lattice,
    options: LatticeOptions | None = None,
    *,
    momenta: Iterable[Momentum] | None = None,
    spin: int = 0,
    levels: int = 1,
    changes: Iterable[int] = (-1, 1),
    monitor: Monitor | None = None,
) -> ChargeExcitations:
    """Return the ground state, and the levels with a particle less or more that carry weight.

    The lowest level of every inequivalent momentum is found for all three fillings: they give E(N), E(N-1),
    E(N+1). For each k follow ``levels`` levels of every irrep that c_k or c_k^+ reaches, and up to
    `MOST_ABOVE` more while none has weight; a lower level without any by symmetry is listed, too
    (``allowed`` False). What the levels miss of n_k and 1 - n_k is in `ChargeExcitations.coverage`. Momenta
    that a symmetry of the N-particle state makes of one another share their levels. Of a degenerate ground
    state one member is taken; its degeneracy is reported.

    Args:
        model: The model with N particles, at most `nnbf.observables.weighted_configurations.MOST_ENUMERATED`
            configurations of each filling.
        options: Network, optimiser; the seed.
        momenta: k of the particle, whole numbers (mx, my); by default all.
        spin: Spin of the particle, 0 up (and spinless), 1 down.
        levels: Levels of each sector that carries weight.
        changes: -1 for removal, +1 for addition; both are needed for the gap.
        monitor: Rows, stop requests, deadline, checkpoints; ``on_level`` is called with each level that was
            optimised, ``recall`` asked for those of earlier sessions.

    Raises:
        InputError: Too many configurations, a sector too large to be summed, no such momentum or spin.
        FloatingPointError: An optimisation left the finite numbers.
        StoppedError: The monitor ended the calculation before it was complete.
    """
    if levels < 1:
        raise InputError(f"levels must be at least 1, got {levels}")
    asked = sorted(set(changes))
    if not asked or not set(asked) <= {-1, 1}:
        raise InputError(f"changes {asked}: give -1 (removal), 1 (addition) or both")
    options = replace(LatticeOptions() if options is None else options, method="full-sum")
    wanted = particle_momenta(model, momenta)
    others = {change: other for change, other in neighbouring_models(model, spin).items() if change in asked}
    if not others:
        raise InputError(f"{model}: no {'particle to remove' if asked == [-1] else 'room for a particle'}")
    solvers = {
        change: FillingLevels(filling, options, monitor) for change, filling in {0: model, **others}.items()
    }
    lowest = {change: solver.search() for change, solver in solvers.items()}
    ground = solvers[0].ground()
    calculation = _Weights(ground, solvers, spin, levels)
    found = [e for momentum in wanted for change in others for e in calculation.excitations(momentum, change)]
    return ChargeExcitations(
        model=model,
        spin=spin,
        kind="full_sum",
        ground=ground.sector,
        ground_energy=float(ground.energy),
        ground_variance=ground.energy.variance or 0.0,
        ground_degeneracy=_degeneracy(ground, lowest[0]),
        lowest={
            change: {level.sector.momentum: float(level.energy) for level in of_filling}
            for change, of_filling in lowest.items()
        },
        occupations={momentum: calculation.occupation(momentum) for momentum in wanted},
        excitations=tuple(found),
    )


def sampled_charge_weight(
    model: Lattice,
    momentum: Momentum,
    larger: "nk.vqs.MCState",
    smaller: "nk.vqs.MCState",
    *,
    spin: int = 0,
) -> Estimate:
    """Return |<smaller|c_k|larger>|^2 with its error from the samples of two Monte Carlo states.

    Args:
        model: The model of the larger state (of N particles for removal, of N + 1 for addition).
        momentum: k of the particle, whole numbers.
        larger: The state with more particles, as `SampledLevel.state`. Chains of other powers of |psi| than 2
            go on with that one.
        smaller: The state with one less.
        spin: Spin of the particle, 0 up (and spinless), 1 down.

    Raises:
        InputError: No such momentum or spin.
        FloatingPointError: Ratios of amplitudes are not finite.
    """
    for state in (larger, smaller):
        change_power(state, 2.0)
    waves = [
        SampledWave(
            log_psi_function(state.model, state.variables, model.n_sites),
            np.asarray(state.samples).reshape(-1, *np.shape(state.samples)[-2:]),
        )
        for state in (larger, smaller)
    ]
    return sampled_weight(model, momentum, *waves, spin=spin)


class FillingLevels:
    """Levels of one filling, and their states on all configurations; each sector is solved once."""

    def __init__(self, model: Lattice, options: LatticeOptions, monitor: Monitor | None = None):
        """List the configurations.

        Raises:
            InputError: There are too many.
        """
        self.model, self.group = model, space_group(model)
        self.table = ConfigurationTable(model)
        self._options = options
        self._monitor = None if monitor is None else monitor.for_particles(model.particles)
        self._known: dict[tuple[Momentum, str | None], list[Level]] = {}

    def search(self) -> list[Level]:
        """The lowest level of every inequivalent momentum."""
        momenta = [sector.momentum for sector in all_sectors(self.model, irreps=False)]
        return [self.levels(momentum, None, 1)[0] for momentum in momenta]

    def ground(self) -> Level:
        """The lowest level of all, solved again in its irrep: to have the label, and for a better state."""
        best = min(self.search(), key=lambda level: float(level.energy))
        shares = self.shares(best)
        sector = self._sector(best.sector.momentum, max(shares, key=lambda name: shares[name]))
        if sector.n_states == best.sector.n_states:
            return replace(best, sector=sector)
        found = self.levels(sector.momentum, sector.irrep, 1)
        # Where that went astray, the level of the momentum is as good, without a name.
        lowest = float(best.energy)
        limit = lowest + 1e-4 * max(1.0, abs(lowest))
        return found[0] if found and float(found[0].energy) < limit else best

    def levels(self, momentum: Momentum, irrep: str | None, count: int) -> list[Level]:
        """The lowest levels of a momentum, or of an irrep there; fewer than `count` where there are fewer."""
        sector = self._sector(momentum, irrep)
        count = min(count, sector.n_states)
        known = self._known.get((momentum, irrep), [])
        if len(known) < count:
            known = self._known[momentum, irrep] = self._solve(sector, count)
        return known[:count]

    def shares(self, level: Level) -> dict[str, float]:
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

    def _solve(self, sector: Sector, count: int) -> list[Level]:
        basis = sector_basis(self.model, sector)
        if sector.n_states == 1:
            return [self._only_level(sector, basis)]
        outcome = spectrum(
            self.model, [sector], self._options, levels=count, exact_limit=0, monitor=self._monitor
        )
        if len(outcome.levels) < count:
            raise StoppedError("stopped before all levels were there")
        return [
            replace(level, vectors=_spread(sector, basis, level.state.vector())) for level in outcome.levels
        ]

    def _only_level(self, sector: Sector, basis: SectorBasis) -> Level:
        """The only level of a sector: there is nothing to optimise."""
        energy = float(basis.matrix().toarray()[0, 0].real)
        return Level(
            problem=self.model,
            energy=Estimate(energy, 0.0, "full_sum", unit="t", upper_bound=True, variance=0.0),
            status="exact",
            n_steps=0,
            n_parameters=0,
            wall_time_s=0.0,
            model=None,
            parameters=None,
            sector=sector,
            vectors=_spread(sector, basis, np.ones(1)),
        )


def _spread(sector: Sector, basis: SectorBasis, coordinates: np.ndarray) -> np.ndarray:
    """A state of a sector on all configurations, in all rows of the irrep."""
    rows = [basis.expand(coordinates[:, None], row) for row in range(sector.dimension)]
    return np.concatenate(rows, axis=1)


class _Weights:
    """Excitations of a ground state, momentum by momentum."""

    def __init__(self, ground: Level, solvers: Mapping[int, FillingLevels], spin: int, levels: int):
        self._ground, self._solvers, self._levels = ground, solvers, levels
        tables = {change: solver.table for change, solver in solvers.items()}
        self._removals = {
            change: Removal(*((tables[0], table) if change < 0 else (table, tables[0])), spin)
            for change, table in tables.items()
            if change
        }
        self._done: dict[tuple[Momentum, int], list[Excitation]] = {}

    def occupation(self, momentum: Momentum) -> float:
        """n_k of the ground state."""
        made = {change: self._made(momentum, change) for change in self._removals}
        change = -1 if -1 in made else 1
        norm = float(np.vdot(made[change], made[change]).real)
        return norm if change < 0 else 1.0 - norm

    def excitations(self, momentum: Momentum, change: int) -> list[Excitation]:
        """Levels of one k with their weights, those of an equivalent k where they are known."""
        if change not in self._solvers:
            return []
        equivalent = self._equivalent(momentum)
        chosen = next((k for k in equivalent if (k, change) in self._done), None)
        if chosen is None:
            # Searched levels are those of the first momentum of each star.
            chosen = next((k for k in equivalent if self._is_searched(k, change)), momentum)
            self._done[chosen, change] = self._compute(chosen, change)
        target = self._target(momentum, change)
        return [replace(e, momentum=momentum, target=target) for e in self._done[chosen, change]]

    def _compute(self, momentum: Momentum, change: int) -> list[Excitation]:
        target, solver = self._target(momentum, change), self._solvers[change]
        coupled = coupling_irreps(self._ground.sector, self._solvers[0].group, solver.group, momentum, change)
        made = self._made(momentum, change)
        total = float(np.vdot(made, made).real)
        for count in range(self._levels, self._levels + MOST_ABOVE + 1):
            levels = self._candidates(solver, target, coupled, count)
            weights = [float(np.sum(np.abs(level.vectors.conj().T @ made) ** 2)) for level, _ in levels]
            carried = sum(weight for weight, (_, allowed) in zip(weights, levels, strict=True) if allowed)
            if total < LEAST_SUM or carried > NO_WEIGHT * total:
                break
        found = []
        for (level, allowed), weight in zip(levels, weights, strict=True):
            found.append(
                Excitation(
                    momentum=momentum,
                    change=change,
                    target=target,
                    irrep=level.sector.irrep,
                    level=level.number,
                    energy=float(level.energy),
                    omega=change * (float(level.energy) - float(self._ground.energy)),
                    weight=weight,
                    kind="full_sum",
                    allowed=allowed,
                    variance=level.energy.variance or 0.0,
                )
            )
        return sorted(found, key=lambda e: e.energy)

    def _candidates(
        self, solver: FillingLevels, target: Momentum, coupled: tuple[str, ...], count: int
    ) -> list[tuple[Level, bool]]:
        """Levels of the irreps that couple, and a lowest level of the momentum that does not."""
        lowest = solver.levels(target, None, 1)
        if not lowest:
            return []
        shares = solver.shares(lowest[0])
        if len(shares) == 1:
            return [(level, True) for level in solver.levels(target, None, count)]
        found = []
        for name in coupled:
            one_row = solver.group.sector(target, name).dimension == 1
            if count == 1 and one_row and shares[name] > PURE and (lowest[0].energy.variance or 0.0) < SHARP:
                found.append((replace(lowest[0], sector=solver.group.sector(target, name)), True))
            else:
                found += [(level, True) for level in solver.levels(target, name, count)]
        if sum(shares[name] for name in coupled) < 1.0 - PURE:
            found.append((lowest[0], False))
        return found

    def _made(self, momentum: Momentum, change: int) -> np.ndarray:
        """c_k or c_k^+ on the ground state."""
        matrix = self._removals[change].matrix(plane_wave(self._ground.problem, momentum))
        state = self._ground.vectors[:, 0]
        return matrix @ state if change < 0 else matrix.conj().T @ state

    def _target(self, momentum: Momentum, change: int) -> Momentum:
        return target_momentum(self._ground.problem, self._ground.sector.momentum, momentum, change)

    def _is_searched(self, momentum: Momentum, change: int) -> bool:
        target = self._target(momentum, change)
        return self._solvers[change].group.star(target)[0] == target

    def _equivalent(self, momentum: Momentum) -> list[Momentum]:
        """Momenta that operations which leave the ground state alone make of one, itself first."""
        sector, group, model = self._ground.sector, self._solvers[0].group, self._ground.problem
        if sector.irrep is None or sector.dimension > 1:
            return [momentum]
        wave, step = plane_wave(model, momentum), len(group.cell_translations)
        images = np.zeros((len(group.little_group(sector.momentum)), model.n_sites), complex)
        for image, p in zip(images, group.little_group(sector.momentum), strict=True):
            image[group.permutations[p * step]] = group.phases[p * step] * wave
        others = space_group(one_particle(model)).momenta()
        alike = [k for k in others if np.any(np.abs(images @ plane_wave(model, k).conj()) > 1 - 1e-9)]
        return [momentum, *(k for k in alike if k != momentum)]


def _degeneracy(ground: Level, lowest: list[Level]) -> int:
    """Levels of N particles as low as the ground state, over momenta and rows that were searched."""
    energy = float(ground.energy)
    limit = energy + SAME_LEVEL * max(1.0, abs(energy))
    others = sum(
        level.sector.degeneracy
        for level in lowest
        if float(level.energy) < limit and level.sector.momentum != ground.sector.momentum
    )
    return ground.sector.degeneracy + others

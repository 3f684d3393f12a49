"""Charge excitations of a lattice model from optimised states: chemical potentials, gap, Z_k.

Levels of N, N - 1 and N + 1 particles by full summation. The state of N particles is searched over all
momenta; levels with a particle less or more are then sought in the sectors that c_k or c_k^+ can reach from
it, which need not hold the lowest level of their momentum.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hamiltonians import InputError, LatticeModel, Sector, all_sectors, space_group
from hamiltonians.exact_lattice import sector_basis
from hamiltonians.lattice_sector import Momentum
from nnbf.drivers.lattice import SectorLevel
from nnbf.drivers.lattice_options import LatticeOptions
from nnbf.drivers.spectrum import solve_spectrum
from nnbf.observables.charge import (
    ChargeExcitations,
    Excitation,
    coupling_irreps,
    fillings,
    particle_momenta,
    target_momentum,
)
from nnbf.observables.quasiparticle import (
    ConfigurationTable,
    LogPsi,
    Removal,
    SampledWave,
    one_particle,
    plane_wave,
    sampled_weight,
)
from nnbf.observables.result import Estimate
from nnbf.states.batches import model_at_once
from nnbf.states.lattice_sampled import log_amplitudes

if TYPE_CHECKING:
    import netket as nk

#: Share of an irrep in a level of a momentum from which on the level is one of that irrep.
PURE = 0.999
#: Levels of N particles closer than this, relative to their size, are reported as degenerate.
SAME_LEVEL = 1e-6

OnLevel = Callable[["ChargeLevel"], None]
OnStep = Callable[[Sector, int, dict[str, Any]], None]


@dataclass(frozen=True, eq=False)
class ChargeLevel:
    """One optimised level on all configurations. Energies are in units of t, of kind ``full_sum``."""

    model: LatticeModel
    """The model, with the number of particles of the level."""
    sector: Sector
    """Where it is."""
    level: int
    """Number in the sector, from 0."""
    energy: float
    """Rayleigh quotient."""
    variance: float
    """Variance of H."""
    status: str
    """converged, max_steps, or exact for a sector of one state."""
    vectors: np.ndarray
    """(n_configurations, d) normalised: the partners in all rows of the irrep."""


def charge_excitations(
    model: LatticeModel,
    options: LatticeOptions | None = None,
    *,
    momenta: Iterable[Momentum] | None = None,
    spin: int = 0,
    levels: int = 1,
    changes: Iterable[int] = (-1, 1),
    on_level: OnLevel | None = None,
    on_step: OnStep | None = None,
) -> ChargeExcitations:
    """Return the ground state, and the levels with a particle less or more that carry weight.

    The lowest level of every inequivalent momentum is found for all three fillings: they give E(N), E(N-1),
    E(N+1). For each k follow ``levels`` levels of every irrep that c_k or c_k^+ reaches; a lower level
    without any weight is listed, too (``allowed`` False). What the levels miss of n_k and 1 - n_k is in
    `ChargeExcitations.coverage`. Momenta that a symmetry of the N-particle state makes of one another share
    their levels. Of a degenerate ground state one member is taken; its degeneracy is reported.

    Args:
        model: The model with N particles, at most `nnbf.observables.quasiparticle.MOST_ENUMERATED`
            configurations of each filling.
        options: Network, optimiser; the seed.
        momenta: k of the particle, whole numbers (mx, my); by default all.
        spin: Spin of the particle, 0 up (and spinless), 1 down.
        levels: Levels of each sector that carries weight.
        changes: -1 for removal, +1 for addition; both are needed for the gap.
        on_level: Called with each level that was optimised.
        on_step: Called with sector, level and a row of numbers after every step.

    Raises:
        InputError: Too many configurations, a sector too large to be summed, no such momentum or spin.
        FloatingPointError: An optimisation left the finite numbers.
    """
    if levels < 1:
        raise InputError(f"levels must be at least 1, got {levels}")
    changes = tuple(sorted(set(changes)))
    if not changes or not set(changes) <= {-1, 1}:
        raise InputError(f"changes {changes}: give -1 (removal), 1 (addition) or both")
    options = replace(LatticeOptions() if options is None else options, method="full-sum")
    wanted = particle_momenta(model, momenta)
    others = {change: other for change, other in fillings(model, spin).items() if change in changes}
    if not others:
        raise InputError(f"{model}: no particle of this spin to {'remove' if changes == (-1,) else 'add'}")
    solvers = {
        change: _Filling(filling, options, on_level, on_step)
        for change, filling in {0: model, **others}.items()
    }
    lowest = {change: solver.search() for change, solver in solvers.items()}
    ground = solvers[0].ground()
    calculation = _Weights(ground, solvers, spin, levels)
    found = [
        e for momentum in wanted for change in changes for e in calculation.excitations(momentum, change)
    ]
    sectors = {change: {lv.sector.momentum: lv.energy for lv in found} for change, found in lowest.items()}
    return ChargeExcitations(
        model=model,
        spin=spin,
        kind="full_sum",
        ground=ground.sector,
        ground_energy=ground.energy,
        ground_variance=ground.variance,
        ground_degeneracy=_degeneracy(ground, lowest[0]),
        lowest=sectors,
        occupations={momentum: calculation.occupation(momentum) for momentum in wanted},
        excitations=tuple(found),
    )


def amplitudes_of(model: Any, variables: Any, n_sites: int) -> LogPsi:
    """Return the function from occupations (n, modes) to log psi (n,) of a network with its parameters."""
    at_once = model_at_once(model, n_sites)
    return lambda occupations: log_amplitudes(model, variables, occupations, at_once)


def sampled_charge_weight(
    model: LatticeModel,
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
        larger: The state with more particles, as `SampledLevel.state`.
        smaller: The state with one less.
        spin: Spin of the particle, 0 up (and spinless), 1 down.

    Raises:
        InputError: No such momentum or spin.
        FloatingPointError: Ratios of amplitudes are not finite.
    """
    waves = [
        SampledWave(
            amplitudes_of(state.model, state.variables, model.n_sites),
            np.asarray(state.samples).reshape(-1, *np.shape(state.samples)[-2:]),
        )
        for state in (larger, smaller)
    ]
    return sampled_weight(model, momentum, *waves, spin=spin)


class _Filling:
    """Levels of one number of particles; each sector is solved once."""

    def __init__(self, model: LatticeModel, options: LatticeOptions, on_level, on_step):
        self.model, self.group = model, space_group(model)
        self.table = ConfigurationTable(model)
        self._options, self._on_level, self._on_step = options, on_level, on_step
        self._known: dict[tuple[Momentum, str | None], list[ChargeLevel]] = {}

    def search(self) -> list[ChargeLevel]:
        """The lowest level of every inequivalent momentum."""
        momenta = [sector.momentum for sector in all_sectors(self.model, irreps=False)]
        return [self.levels(momentum, None, 1)[0] for momentum in momenta]

    def ground(self) -> ChargeLevel:
        """The lowest level of all, solved again in its irrep: to have the label, and for a better state."""
        best = min(self.search(), key=lambda level: level.energy)
        shares = self.shares(best)
        sector = self._sector(best.sector.momentum, max(shares, key=lambda name: shares[name]))
        if sector.n_states == best.sector.n_states:
            return replace(best, sector=sector)
        found = self.levels(sector.momentum, sector.irrep, 1)
        # Where that went astray, the level of the momentum is as good, without a name.
        limit = best.energy + 1e-4 * max(1.0, abs(best.energy))
        return found[0] if found and found[0].energy < limit else best

    def levels(self, momentum: Momentum, irrep: str | None, count: int) -> list[ChargeLevel]:
        """The lowest levels of a momentum, or of an irrep there; fewer than `count` where there are fewer."""
        sector = self._sector(momentum, irrep)
        count = min(count, sector.n_states)
        known = self._known.get((momentum, irrep), [])
        if len(known) < count:
            known = self._exact(sector) if sector.n_states == 1 else self._solve(sector, count)
            self._known[momentum, irrep] = known
        return known[:count]

    def shares(self, level: ChargeLevel) -> dict[str, float]:
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

    def _solve(self, sector: Sector, count: int) -> list[ChargeLevel]:
        basis = sector_basis(self.model, sector)
        found = []
        solved = solve_spectrum(
            self.model, [sector], self._options, levels=count, exact_limit=0, on_step=self._on_step
        )
        for _, level in solved:
            assert isinstance(level, SectorLevel)
            coordinates = level.state.vector()[:, None]
            rows = [basis.expand(coordinates, row) for row in range(sector.dimension)]
            found.append(
                ChargeLevel(
                    model=self.model,
                    sector=sector,
                    level=level.level,
                    energy=level.energy,
                    variance=level.variance,
                    status=level.status,
                    vectors=np.concatenate(rows, axis=1),
                )
            )
            if self._on_level is not None:
                self._on_level(found[-1])
        return found

    def _exact(self, sector: Sector) -> list[ChargeLevel]:
        """The only state of a sector: there is nothing to optimise."""
        basis = sector_basis(self.model, sector)
        rows = [basis.expand(np.ones((1, 1)), row) for row in range(sector.dimension)]
        energy = float(basis.matrix().toarray()[0, 0].real)
        return [ChargeLevel(self.model, sector, 0, energy, 0.0, "exact", np.concatenate(rows, axis=1))]


class _Weights:
    """Excitations of a ground state, momentum by momentum."""

    def __init__(self, ground: ChargeLevel, solvers: Mapping[int, _Filling], spin: int, levels: int):
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
        found = []
        for level, allowed in self._candidates(solver, target, coupled):
            weight = float(np.sum(np.abs(level.vectors.conj().T @ made) ** 2))
            found.append(
                Excitation(
                    momentum=momentum,
                    change=change,
                    target=target,
                    irrep=level.sector.irrep,
                    level=level.level,
                    energy=level.energy,
                    omega=change * (level.energy - self._ground.energy),
                    weight=weight,
                    kind="full_sum",
                    allowed=allowed,
                    variance=level.variance,
                )
            )
        return sorted(found, key=lambda e: e.energy)

    def _candidates(self, solver: _Filling, target: Momentum, coupled) -> list[tuple[ChargeLevel, bool]]:
        """Levels of the irreps that couple, and a lowest level of the momentum that does not."""
        lowest = solver.levels(target, None, 1)
        if not lowest:
            return []
        shares = solver.shares(lowest[0])
        if len(shares) == 1:
            return [(level, True) for level in solver.levels(target, None, self._levels)]
        found = []
        for name in coupled:
            one_row = solver.group.sector(target, name).dimension == 1
            if self._levels == 1 and one_row and shares[name] > PURE:
                named = replace(lowest[0], sector=solver.group.sector(target, name))
                found.append((named, True))
            else:
                found += [(level, True) for level in solver.levels(target, name, self._levels)]
        if sum(shares[name] for name in coupled) < 1.0 - PURE:
            found.append((lowest[0], False))
        return found

    def _made(self, momentum: Momentum, change: int) -> np.ndarray:
        """c_k or c_k^+ on the ground state."""
        matrix = self._removals[change].matrix(plane_wave(self._ground.model, momentum))
        state = self._ground.vectors[:, 0]
        return matrix @ state if change < 0 else matrix.conj().T @ state

    def _target(self, momentum: Momentum, change: int) -> Momentum:
        return target_momentum(self._ground.model, self._ground.sector.momentum, momentum, change)

    def _is_searched(self, momentum: Momentum, change: int) -> bool:
        target = self._target(momentum, change)
        return self._solvers[change].group.star(target)[0] == target

    def _equivalent(self, momentum: Momentum) -> list[Momentum]:
        """Momenta that operations which leave the ground state alone make of one, itself first."""
        sector, group, model = self._ground.sector, self._solvers[0].group, self._ground.model
        if sector.irrep is None or sector.dimension > 1:
            return [momentum]
        wave, step = plane_wave(model, momentum), len(group.cell_translations)
        images = np.zeros((len(group.little_group(sector.momentum)), model.n_sites), complex)
        for image, p in zip(images, group.little_group(sector.momentum), strict=True):
            image[group.permutations[p * step]] = group.phases[p * step] * wave
        others = space_group(one_particle(model)).momenta()
        alike = [k for k in others if np.any(np.abs(images @ plane_wave(model, k).conj()) > 1 - 1e-9)]
        return [momentum, *(k for k in alike if k != momentum)]


def _degeneracy(ground: ChargeLevel, lowest: list[ChargeLevel]) -> int:
    """Levels of N particles as low as the ground state, over momenta and rows that were searched."""
    limit = ground.energy + SAME_LEVEL * max(1.0, abs(ground.energy))
    others = sum(
        level.sector.degeneracy
        for level in lowest
        if level.energy < limit and level.sector.momentum != ground.sector.momentum
    )
    return ground.sector.degeneracy + others

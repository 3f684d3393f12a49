r"""Levels with a particle more or less, and the spectral function that they make.

.. math:: A(k, \omega) = \sum_b |\langle N-1, b|c_k|N, a\rangle|^2 \, \delta(\omega - E_a + E_b^{N-1})
    + \sum_b |\langle N+1, b|c_k^\dagger|N, a\rangle|^2 \, \delta(\omega - E_b^{N+1} + E_a)

Removal sums to n_k, addition to 1 - n_k. Of degenerate levels only the sum of the weights means anything:
an :class:`Excitation` holds it for all rows of an irrep.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from hamiltonians import InputError, Lattice, Sector, SpaceGroup, all_sectors, exact_levels, space_group
from hamiltonians.lattice.exact import sector_basis
from hamiltonians.lattice.sector import Momentum
from hamiltonians.lattice.sector_points import sector_points
from nnbf.observables.quasiparticle import (
    ConfigurationTable,
    Removal,
    momentum_extents,
    one_particle,
    particle_momentum,
    plane_wave,
    with_changed_filling,
)

#: States of a momentum up to which all levels are computed.
MOST_DENSE = 3000
#: Exact levels closer than this (units of t) are one.
SAME_ENERGY = 1e-8


@dataclass(frozen=True)
class Excitation:
    """One peak of the spectral function. Energies are in units of t."""

    momentum: Momentum
    """k of the particle, whole numbers."""
    change: int
    """-1 for removal, +1 for addition."""
    target: Momentum
    """Momentum of the level with a particle less or more."""
    irrep: str | None
    """Irrep of its little group; None where not resolved."""
    level: int
    """Number among the levels of that momentum and irrep, from 0."""
    energy: float
    """Energy of the level."""
    omega: float
    """Position of the peak: E(N) - E(N-1), or E(N+1) - E(N)."""
    weight: float
    """Quasiparticle weight Z_k, summed over degenerate partners. As computed from the two states also where
    symmetry forbids it: what is left there measures their impurity."""
    kind: str
    """exact, or full_sum for two optimised states."""
    allowed: bool = True
    """False where symmetry forbids any weight."""
    variance: float = 0.0
    """Variance of H in the level."""


@dataclass(frozen=True, eq=False)
class ChargeExcitations:
    """Ground state of N particles and levels of N - 1 and N + 1. Energies are in units of t."""

    model: Lattice
    """The model with N particles."""
    spin: int
    """Spin of the particle: 0 up (and spinless), 1 down."""
    kind: str
    """exact or full_sum."""
    ground: Sector
    """Sector of the state with N particles."""
    ground_energy: float
    """Its energy E(N)."""
    ground_variance: float
    """Variance of H in it."""
    ground_degeneracy: int
    """Levels of N particles as low as that, by symmetry; above 1 the weights are those of one of them."""
    lowest: Mapping[int, Mapping[Momentum, float]]
    """Lowest energies by inequivalent momentum, for a change -1, 0, +1 of the particle number."""
    occupations: Mapping[Momentum, float]
    """n_k of the state with N particles."""
    excitations: tuple[Excitation, ...]
    """Excitations by k, then removal before addition, then energy."""

    @property
    def mu_minus(self) -> float | None:
        """E(N) - E(N-1); None without such a filling."""
        return self.ground_energy - self._least(-1) if self.lowest.get(-1) else None

    @property
    def mu_plus(self) -> float | None:
        """E(N+1) - E(N); None without such a filling."""
        return self._least(1) - self.ground_energy if self.lowest.get(1) else None

    @property
    def charge_gap(self) -> float | None:
        """mu+ - mu- = E(N+1) + E(N-1) - 2 E(N)."""
        if self.mu_plus is None or self.mu_minus is None:
            return None
        return self.mu_plus - self.mu_minus

    def of(self, momentum: Momentum, change: int | None = None) -> tuple[Excitation, ...]:
        """Return the excitations of a momentum, of removal (-1), addition (+1) or both."""
        wanted = particle_momentum(self.model, momentum)
        return tuple(e for e in self.excitations if e.momentum == wanted and change in (None, e.change))

    def coverage(self, momentum: Momentum, change: int) -> float:
        """Share of the sum rule, n_k or 1 - n_k, that was found; 1 where there is nothing to find."""
        n_k = self.occupations[particle_momentum(self.model, momentum)]
        total = n_k if change < 0 else 1.0 - n_k
        found = sum(e.weight for e in self.of(momentum, change) if e.allowed)
        return found / total if total > 1e-12 else 1.0

    def spectral_function(
        self,
        momentum: Momentum,
        omega: np.ndarray,
        *,
        width: float = 0.1,
        shape: Literal["lorentzian", "gaussian"] = "lorentzian",
    ) -> np.ndarray:
        """Return A(k, omega) (n,) on a grid, in 1/t; see `broadened`."""
        peaks = [e for e in self.of(momentum) if e.allowed]
        return broadened([e.omega for e in peaks], [e.weight for e in peaks], omega, width=width, shape=shape)

    def record(self) -> dict[str, Any]:
        """Everything as plain numbers, lists and dictionaries (for JSON)."""
        group = space_group(one_particle(self.model))
        return {
            "system": self.model.to_dict(),
            "spin": self.spin,
            "energy": self.ground_energy,
            "energy_kind": self.kind,
            "energy_unit": "t",
            "variance": self.ground_variance,
            "sector": {"momentum": list(self.ground.momentum), "irrep": self.ground.irrep},
            "degeneracy": self.ground_degeneracy,
            "mu_plus": self.mu_plus,
            "mu_minus": self.mu_minus,
            "charge_gap": self.charge_gap,
            "lowest": [
                {"change": change, "momentum": list(momentum), "energy": energy}
                for change, levels in sorted(self.lowest.items())
                for momentum, energy in levels.items()
            ],
            "momenta": [
                {
                    "momentum": list(momentum),
                    "wave_vector": list(group.wave_vector(momentum)),
                    "occupation": n_k,
                    "removal_coverage": self.coverage(momentum, -1),
                    "addition_coverage": self.coverage(momentum, 1),
                }
                for momentum, n_k in self.occupations.items()
            ],
            "excitations": [
                {**asdict(e), "momentum": list(e.momentum), "target": list(e.target)}
                for e in self.excitations
            ],
        }

    def _least(self, change: int) -> float:
        found = [e.energy for e in self.excitations if e.change == change]
        return min([*self.lowest[change].values(), *found])


def broadened(
    positions: Sequence[float] | np.ndarray,
    weights: Sequence[float] | np.ndarray,
    omega: np.ndarray,
    *,
    width: float = 0.1,
    shape: Literal["lorentzian", "gaussian"] = "lorentzian",
) -> np.ndarray:
    """Return sum_b w_b f(omega - x_b) (n,), f of area 1.

    Args:
        positions: Peaks x_b.
        weights: Their areas w_b.
        omega: (n,) where to evaluate.
        width: Half width at half maximum of a Lorentzian, standard deviation of a Gaussian.
        shape: Which.

    Raises:
        InputError: The width is not positive, or the shape unknown.
    """
    if not width > 0:
        raise InputError(f"width must be positive, got {width}")
    distance = np.asarray(omega, float)[:, None] - np.asarray(positions, float)[None, :]
    if shape == "lorentzian":
        peaks = width / np.pi / (distance**2 + width**2)
    elif shape == "gaussian":
        peaks = np.exp(-0.5 * (distance / width) ** 2) / (width * np.sqrt(2 * np.pi))
    else:
        raise InputError(f"shape {shape!r}: give lorentzian or gaussian")
    return peaks @ np.asarray(weights, float)


def target_momentum(model: Lattice, ground: Momentum, momentum: Momentum, change: int) -> Momentum:
    """Return the momentum of a level with a particle of k = `momentum` more (+1) or less (-1)."""
    first, second = momentum_extents(model)
    return (ground[0] + change * momentum[0]) % first, (ground[1] + change * momentum[1]) % second


def coupling_irreps(
    ground: Sector, group: SpaceGroup, target_group: SpaceGroup, momentum: Momentum, change: int
) -> tuple[str, ...]:
    """Return the irreps of N-1 (or N+1) levels that c_k (or c_k^+) can reach from a sector.

    Those that contain, among the operations which leave both the sector and the plane wave alone, what the
    sector's irrep makes times the phases of the plane wave. All irreps where the sector has none.

    Args:
        ground: Sector of the state with N particles.
        group: Space group of N particles.
        target_group: That of N - 1 or N + 1.
        momentum: k of the particle.
        change: -1 for removal, +1 for addition.
    """
    target = target_momentum(group.model, ground.momentum, momentum, change)
    every = target_group.irreps(target)
    names = tuple(irrep.name for irrep in every)
    if ground.irrep is None:
        return names
    wave = plane_wave(group.model, momentum)
    theirs = _characters(target_group, [target_group.sector(target, name) for name in names], target)
    ours = _characters(group, [group.sector(ground.momentum, ground.irrep)], ground.momentum)[0]
    n_translations = len(group.cell_translations)
    counts, shared = np.zeros(len(names)), 0
    for operation in ours.keys() & theirs[0].keys():
        element = operation * n_translations
        image = np.zeros_like(wave)
        image[group.permutations[element]] = group.phases[element] * wave
        phase = np.vdot(wave, image)
        if abs(phase) < 1.0 - 1e-9:
            continue
        product = ours[operation] * (phase if change > 0 else phase.conjugate())
        counts += np.array([(character[operation].conjugate() * product).real for character in theirs])
        shared += 1
    return tuple(name for name, count in zip(names, counts, strict=True) if count > 1e-6 * shared)


def _characters(group: SpaceGroup, sectors: Sequence[Sector], momentum: Momentum) -> list[dict[int, complex]]:
    """Characters of point operations without translation, by their number."""
    step = len(group.cell_translations)
    operations = group.little_group(momentum)
    return [
        {p: complex(np.trace(sector.representation[place * step])) for place, p in enumerate(operations)}
        for sector in sectors
    ]


def particle_momenta(model: Lattice, momenta: Iterable[Momentum] | None) -> tuple[Momentum, ...]:
    """Return the momenta asked for, each once; all of a single particle for None.

    Raises:
        InputError: One is not on the lattice.
    """
    if momenta is None:
        return space_group(one_particle(model)).momenta()
    return tuple(dict.fromkeys(particle_momentum(model, momentum) for momentum in momenta))


def neighbouring_models(model: Lattice, spin: int) -> dict[int, Lattice]:
    """Return the models with a particle less (-1) and more (+1), where there are such.

    Raises:
        InputError: There is no such spin.
    """
    if not 0 <= spin < len(model.particles):
        with_changed_filling(model, 0, spin)
    number = model.particles[spin]
    changes = [c for c in (-1, 1) if 0 <= number + c <= model.n_sites]
    return {change: with_changed_filling(model, change, spin) for change in changes}


def exact_charge_excitations(
    model: Lattice,
    *,
    momenta: Iterable[Momentum] | None = None,
    spin: int = 0,
    ground: Sector | None = None,
) -> ChargeExcitations:
    """Return all levels of N - 1 and N + 1 that c_k and c_k^+ reach, by exact diagonalisation.

    Degenerate levels are one excitation, with the sum of their weights.

    Args:
        model: The model with N particles.
        momenta: k of the particle; by default all.
        spin: 0 for up (and for spinless fermions), 1 for down.
        ground: Sector of the state with N particles; by default that of the lowest level, the first of
            several.

    Raises:
        InputError: Too many configurations or states of a momentum, no such momentum or spin.
    """
    wanted = particle_momenta(model, momenta)
    others = neighbouring_models(model, spin)
    table = ConfigurationTable(model)
    ground = _exact_ground(model) if ground is None else ground
    found = exact_levels(model, ground)
    energy, state = float(found.energies[0]), found.full_vectors(row=ground.row or 0)[:, 0]
    occupations: dict[Momentum, float] = dict.fromkeys(wanted, 0.0)
    excitations: list[Excitation] = []
    lowest = {0: _exact_lowest(model)}
    for change, other in others.items():
        lowest[change] = _exact_lowest(other)
        pair = (table, ConfigurationTable(other)) if change < 0 else (ConfigurationTable(other), table)
        removal = Removal(*pair, spin)
        solved: dict[Momentum, _AllLevels] = {}
        for momentum in wanted:
            matrix = removal.matrix(plane_wave(model, momentum))
            made = matrix @ state if change < 0 else matrix.conj().T @ state
            norm = float(np.vdot(made, made).real)
            occupations[momentum] = norm if change < 0 else 1.0 - norm
            target = target_momentum(model, ground.momentum, momentum, change)
            if target not in solved:
                solved[target] = _AllLevels(other, space_group(other).sector(target))
            excitations += [
                Excitation(
                    momentum=momentum,
                    change=change,
                    target=target,
                    irrep=None,
                    level=number,
                    energy=level,
                    omega=change * (level - energy),
                    weight=weight,
                    kind="exact",
                    allowed=weight > 1e-12,
                )
                for number, (level, weight) in enumerate(
                    solved[target].weights(made[pair[0 if change > 0 else 1].rows(solved[target].points)])
                )
            ]
    return ChargeExcitations(
        model=model,
        spin=spin,
        kind="exact",
        ground=ground,
        ground_energy=energy,
        ground_variance=0.0,
        ground_degeneracy=_degeneracy(model, energy),
        lowest=lowest,
        occupations=occupations,
        excitations=tuple(sorted(excitations, key=lambda e: (wanted.index(e.momentum), e.change, e.energy))),
    )


class _AllLevels:
    """All levels of a momentum, and the coordinates of states in it."""

    def __init__(self, model: Lattice, sector: Sector):
        if sector.n_states > MOST_DENSE:
            raise InputError(
                f"momentum {sector.label} has {sector.n_states:,} states: all levels are computed up to "
                f"{MOST_DENSE:,}"
            )
        basis = sector_basis(model, sector)
        self.points, self._transform = sector_points(basis)
        self._energies, self._vectors = np.linalg.eigh(basis.matrix().toarray())

    def weights(self, psi: np.ndarray) -> list[tuple[float, float]]:
        """Energies and weights of a state that is known on `points`, degenerate levels together."""
        each = np.abs(self._vectors.conj().T @ (self._transform @ psi)) ** 2
        if not len(each):
            return []
        starts = np.flatnonzero(np.concatenate([[True], np.diff(self._energies) > SAME_ENERGY]))
        return list(zip(self._energies[starts].tolist(), np.add.reduceat(each, starts).tolist(), strict=True))


def _exact_ground(model: Lattice) -> Sector:
    """The sector of the lowest level, a row of its irrep chosen."""
    sectors = all_sectors(model)
    energies = [float(exact_levels(model, sector).energies[0]) for sector in sectors]
    chosen = sectors[int(np.argmax(np.array(energies) < min(energies) + SAME_ENERGY))]
    row = 0 if chosen.dimension > 1 else None
    return space_group(model).sector(chosen.momentum, chosen.irrep, row=row)


def _exact_lowest(model: Lattice) -> dict[Momentum, float]:
    sectors = all_sectors(model, irreps=False)
    return {sector.momentum: float(exact_levels(model, sector).energies[0]) for sector in sectors}


def _degeneracy(model: Lattice, energy: float) -> int:
    """Number of levels as low as one, over all sectors."""
    count = 0
    for sector in all_sectors(model):
        levels = exact_levels(model, sector, k=min(3, sector.n_states)).energies
        count += sector.degeneracy * int(
            np.sum(np.abs(levels - energy) < SAME_ENERGY * max(1.0, abs(energy)))
        )
    return count

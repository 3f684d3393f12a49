"""All levels with a particle more or less by exact diagonalisation: what optimised ones are compared with."""

from collections.abc import Iterable

import numpy as np

from hamiltonians import InputError, Lattice, Sector, all_sectors, exact_levels, space_group
from hamiltonians.lattice.exact import sector_basis
from hamiltonians.lattice.sector import Momentum
from hamiltonians.lattice.sector_points import sector_points
from nnbf.observables.quasiparticle import ConfigurationTable, Removal, plane_wave
from nnbf.observables.spectral_function import (
    ChargeExcitations,
    Excitation,
    neighbouring_models,
    particle_momenta,
    target_momentum,
)

#: States of a momentum up to which all levels are computed.
MOST_DENSE = 3000
#: Exact levels closer than this (units of t) are one.
SAME_ENERGY = 1e-8


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

"""The sector of a lattice's ground state: by exact diagonalisation of all sectors where that is cheap.

Interactions can move the ground state to another momentum than that of the lowest filling of free particles.
"""

from functools import lru_cache

from hamiltonians import Lattice, Sector, all_sectors, exact_levels, is_affordable, space_group
from hamiltonians.lattice.sector import Momentum
from nnbf.ansatz.orbitals import lowest_momentum
from nnbf.drivers.level import Level
from nnbf.drivers.options import EXACT_LIMIT

#: Levels closer than this, relative to their size, are one.
_SAME = 1e-8
#: Units of t above the exact level from which a level that was found is called another one.
_HIGHER = 5e-4
_MOST_NAMED = 6

Energies = dict[tuple[Momentum, str | None], float]


@lru_cache(maxsize=8)
def exact_ground_energies(model: Lattice, limit: int = EXACT_LIMIT) -> Energies | None:
    """Return the lowest energy (units of t) of every sector that has states, by first momentum and irrep.

    Args:
        model: The lattice.
        limit: Most states of all sectors together.

    Returns:
        The energies; None where they are too many.
    """
    if model.n_configurations > limit * len(space_group(model).permutations):
        return None  # before sectors are counted, which takes long for large lattices
    sectors = all_sectors(model)
    if sum(s.n_states for s in sectors) > limit or not all(is_affordable(model, s) for s in sectors):
        return None
    return {(s.momentum, s.irrep): float(exact_levels(model, s).energies[0]) for s in sectors}


def ground_momentum(model: Lattice, limit: int = EXACT_LIMIT) -> Momentum:
    """Return the momentum of the ground state where that is cheap to find, else of the free particles.

    Args:
        model: The lattice.
        limit: Most states that are diagonalised.
    """
    free, group = lowest_momentum(model), space_group(model)
    energies = exact_ground_energies(model, limit) if len(group.momenta()) > 1 else None
    if energies is None:
        return free
    best, irrep = min(energies, key=energies.__getitem__)
    first = group.star(free)[0]
    here = min((e for (m, _), e in energies.items() if m == first), default=None)
    return best if here is None or _is_lower(energies[best, irrep], here) else free


def sector_warnings(model: Lattice, sector: Sector, limit: int = EXACT_LIMIT) -> tuple[str, ...]:
    """Name a sector that lies lower than one, or those that were not looked at.

    Args:
        model: The lattice.
        sector: The sector that is solved.
        limit: Most states that are diagonalised.
    """
    group = space_group(model)
    stars = group.momenta(inequivalent=True)
    if len(stars) == 1 and sector.irrep is None and sector.spin_flip is None:
        return ()
    energies = exact_ground_energies(model, limit)
    if energies is None:
        return _not_looked_at(model, sector, [m for m in stars if m not in sector.star])
    best, irrep = min(energies, key=energies.__getitem__)
    lowest = energies[best, irrep]
    if sector.spin_flip is None:
        here = min(
            e for (m, name), e in energies.items() if m == sector.star[0] and sector.irrep in (None, name)
        )
    else:
        here = float(exact_levels(model, sector).energies[0])
    if not _is_lower(lowest, here):
        return ()
    return (
        f"sector {sector.label} is not that of the ground state: momentum {best[0]},{best[1]}, irrep {irrep} "
        f"lies {here - lowest:.6g} t lower, at {lowest:.8f} (exact diagonalisation)",
    )


def exact_sector_energy(model: Lattice, sector: Sector, limit: int = EXACT_LIMIT) -> float | None:
    """Return the lowest energy of a sector of one momentum (units of t), where all sectors are cheap."""
    energies = exact_ground_energies(model, limit) or {}
    return min((e for (m, _), e in energies.items() if m == sector.star[0]), default=None)


def level_warnings(level: Level, exact: float | None) -> tuple[str, ...]:
    """Name the exact level (units of t) of a sector that a converged one lies above."""
    energy = float(level.energy.value)
    if (
        exact is None
        or level.status != "converged"
        or energy - 3.0 * float(level.energy.error) <= exact + _HIGHER
    ):
        return ()
    return (
        f"the energy lies {energy - exact:.6g} t above the level of the sector, {exact:.8f} (exact "
        "diagonalisation): a higher state, or out of the network's reach; give another seed, or more "
        "n_determinants",
    )


def _not_looked_at(model: Lattice, sector: Sector, others: list[Momentum]) -> tuple[str, ...]:
    is_default = sector.momentum == lowest_momentum(model) and sector.irrep is None
    if not others or not is_default:
        return ()
    names = " ".join(f"{x},{y}" for x, y in others[:_MOST_NAMED])
    more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
    return (
        f"sector {sector.label} is that of the lowest filling of free particles: the ground state may lie at "
        f"another momentum, none of which was looked at ({names}{more}); give momentum to try one",
    )


def _is_lower(energy: float, other: float) -> bool:
    return energy < other - _SAME * max(1.0, abs(other))

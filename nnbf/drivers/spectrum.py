"""Levels of several symmetry sectors, one after the other."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hamiltonians import InputError, Lattice, Sector, exact_levels, is_affordable
from nnbf.drivers.lattice import SectorLevel, solve_sector
from nnbf.drivers.lattice_ansatz import make_lattice_ansatz
from nnbf.drivers.lattice_options import LatticeOptions
from nnbf.drivers.lattice_vmc import SampledLevel, solve_sector_vmc
from nnbf.drivers.monitor import Monitor

#: A level may end on a higher state than the one sought, or be out of reach of one determinant: it is started
#: again this often, with another seed and one determinant more.
RETRIES = 2
#: ... where the variance stays above this (units of t^2).
DOUBTFUL_VARIANCE = 8e-3
#: ... or above this in sectors whose steps are solved directly: another run costs little there.
DOUBTFUL_IF_SMALL = 5e-3
#: ... or, where the network has parameters enough to fit the state exactly, above this.
DOUBTFUL_IN_FIT = 1e-3


def solve_spectrum(
    model: Lattice,
    sectors: Sequence[Sector],
    options: LatticeOptions | None = None,
    *,
    levels: int = 1,
    exact_limit: int = 200_000,
    monitor: Monitor | None = None,
) -> Iterator[tuple[dict[str, Any], SectorLevel | SampledLevel]]:
    """Yield each level, sector by sector, as a record (momentum, irrep, energy, ...) and with its state.

    Energies are in units of t: of kind ``full_sum`` with error 0, or ``vmc``. For levels above the lowest
    they are no bounds.

    Args:
        model: The lattice model.
        sectors: Which sectors.
        options: Network, orbitals, method.
        levels: Levels of each sector.
        exact_limit: Sectors up to this many states are diagonalised beside.
        monitor: Rows, stop requests, deadline for everything (sectors that are sampled share what is left
            evenly), checkpoints of sectors that are sampled.

    Raises:
        InputError: A sector is too large for the method.
        FloatingPointError: Numbers ran away.
    """
    options = LatticeOptions() if options is None else options
    monitor = Monitor() if monitor is None else monitor
    for place, sector in enumerate(sectors):
        n_levels = min(levels, sector.n_states)
        method = options.method_for(sector.n_states)
        if method == "vmc" and n_levels > 1:
            raise InputError(f"sector {sector.label} is sampled: one level a sector, give --levels 1")
        exact: np.ndarray | None = None
        if sector.n_states <= exact_limit and is_affordable(model, sector):
            exact = exact_levels(model, sector, k=n_levels).energies
        known: list[SectorLevel] = []
        for index in range(n_levels):
            if monitor.is_over or monitor.is_stopped:
                return
            found: SectorLevel | SampledLevel
            if method == "vmc":
                watched = monitor.for_level(sector, index, 1.0 / (len(sectors) - place))
                found = solve_sector_vmc(model, sector, options, monitor=watched)
            else:
                found = _best(model, sector, options, known, monitor.for_level(sector, index))
                known.append(found)
            yield level_record(model, found, None if exact is None else float(exact[index])), found


def _best(model, sector, options, known, monitor) -> SectorLevel:
    """The lowest of up to `RETRIES` + 1 runs; others than the first only where the first looks doubtful."""
    best: SectorLevel | None = None
    # Sums are short: they are made again, and not saved step by step.
    monitor = replace(monitor, save=None, resume=None)
    for attempt in range(RETRIES + 1):
        if best is not None and monitor.is_over:
            break
        again = replace(options, seed=options.seed + 1000 * attempt)
        found = solve_sector(
            model,
            sector,
            with_determinants(model, sector, again, len(known) + attempt),
            lower=known,
            monitor=monitor,
        )
        if best is None or found.energy < best.energy:
            best = found
        if best.variance < _doubtful(best, options) or monitor.is_stopped:
            break
    assert best is not None
    return best


def _doubtful(level: SectorLevel, options: LatticeOptions) -> float:
    size = level.state.n_coordinates
    if level.n_parameters > size:
        return DOUBTFUL_IN_FIT
    return DOUBTFUL_IF_SMALL if size <= options.dense_limit else DOUBTFUL_VARIANCE


def with_determinants(model: Lattice, sector: Sector, options: LatticeOptions, more: int) -> LatticeOptions:
    """The options with more determinants, as far as the momentum has fillings.

    One determinant of plane waves cannot reach every state of a momentum: on configurations that a
    translation maps onto themselves its sign may be the wrong one. Higher levels need more.
    """
    if not more:
        return options
    present = make_lattice_ansatz(model, sector, options).backflow.orbitals[0].n_determinants
    for extra in range(more, 0, -1):
        wanted = replace(options, n_determinants=present + extra)
        try:
            make_lattice_ansatz(model, sector, wanted)
        except InputError:
            continue
        return wanted
    return options


def level_record(model: Lattice, level: SectorLevel | SampledLevel, exact: float | None) -> dict[str, Any]:
    """What result files say of a level."""
    sector = level.sector
    distance = level.energy - model.infinite_temperature_energy
    record = {
        "momentum": list(sector.momentum),
        "wave_vector": list(sector.wave_vector),
        "irrep": sector.irrep,
        "spin_flip": sector.spin_flip,
        "little_group": sector.little_group,
        "level": 0,
        "energy": level.energy,
        "error": 0.0,
        "kind": "full_sum",
        "upper_bound": True,
        "reference": exact,
        "variance": level.variance,
        "v_score": model.n_particles * level.variance / distance**2 if distance else 0.0,
        "degeneracy": sector.degeneracy,
        "star": [list(momentum) for momentum in sector.star],
        "n_states": sector.n_states,
        "total_spin": level.state.model.backflow.total_spin,
        "n_parameters": level.n_parameters,
        "n_steps": level.n_steps,
        "status": level.status,
        "wall_time_s": level.wall_time_s,
        "overlap": 0.0,
    }
    if isinstance(level, SectorLevel):
        return {**record, "level": level.level, "upper_bound": level.level == 0, "overlap": level.overlap}
    sampled = ("error", "r_hat", "tau_corr", "acceptance", "n_samples")
    return {
        **record,
        "kind": "vmc",
        **{name: getattr(level, name) for name in sampled},
        "warnings": list(level.warnings),
    }

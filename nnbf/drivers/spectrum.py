"""Levels of several symmetry sectors, one after the other."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hamiltonians import InputError, LatticeModel, Sector, exact_levels, is_affordable
from nnbf.drivers.lattice import SectorLevel, solve_sector
from nnbf.drivers.lattice_ansatz import make_lattice_ansatz
from nnbf.drivers.lattice_options import LatticeOptions
from nnbf.drivers.lattice_vmc import SampledLevel, solve_sector_vmc
from nnbf.drivers.snapshot import OnCheckpoint, Snapshot

#: A level may end on a higher state than the one sought, or be out of reach of one determinant: it is started
#: again this often, with another seed and one determinant more.
RETRIES = 2
#: ... where the variance stays above this (units of t^2).
DOUBTFUL_VARIANCE = 8e-3
#: ... or above this in sectors whose steps are solved directly: another run costs little there.
DOUBTFUL_IF_SMALL = 5e-3
#: ... or, where the network has parameters enough to fit the state exactly, above this.
DOUBTFUL_IN_FIT = 1e-3

OnStep = Callable[[Sector, int, dict[str, Any]], None]


def solve_spectrum(
    model: LatticeModel,
    sectors: Sequence[Sector],
    options: LatticeOptions | None = None,
    *,
    levels: int = 1,
    exact_limit: int = 200_000,
    time_limit: float | None = None,
    on_step: OnStep | None = None,
    should_stop: Callable[[], bool] | None = None,
    resume: Snapshot | None = None,
    on_checkpoint: OnCheckpoint | None = None,
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
        time_limit: Seconds for everything; sectors that are sampled share what is left evenly.
        on_step: Called with sector, level and a row of numbers after every step.
        should_stop: Asked after every step.
        resume: A snapshot that ``on_checkpoint`` was given, if that of the first sector.
        on_checkpoint: Offered a snapshot before every step of a sector that is sampled.

    Raises:
        InputError: A sector is too large for the method.
        FloatingPointError: Numbers ran away.
    """
    options = LatticeOptions() if options is None else options
    started = time.perf_counter()
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
            left = None if time_limit is None else time_limit - (time.perf_counter() - started)
            if (left is not None and left <= 0) or (should_stop is not None and should_stop()):
                return
            report = None if on_step is None else (lambda row, s=sector, k=index: on_step(s, k, row))
            found: SectorLevel | SampledLevel
            if method == "vmc":
                found = solve_sector_vmc(
                    model,
                    sector,
                    options,
                    on_step=report,
                    should_stop=should_stop,
                    time_limit=None if left is None else left / (len(sectors) - place),
                    resume=resume if place == 0 else None,
                    on_checkpoint=on_checkpoint,
                )
            else:
                found = _best(model, sector, options, known, report, should_stop, left)
                known.append(found)
            yield level_record(model, found, None if exact is None else float(exact[index])), found


def _best(model, sector, options, known, on_step, should_stop, time_limit) -> SectorLevel:
    """The lowest of up to `RETRIES` + 1 runs; others than the first only where the first looks doubtful."""
    best: SectorLevel | None = None
    started = time.perf_counter()
    for attempt in range(RETRIES + 1):
        left = None if time_limit is None else time_limit - (time.perf_counter() - started)
        if best is not None and left is not None and left <= 0:
            break
        again = replace(options, seed=options.seed + 1000 * attempt)
        found = solve_sector(
            model,
            sector,
            with_determinants(model, sector, again, len(known) + attempt),
            lower=known,
            on_step=on_step,
            should_stop=should_stop,
            time_limit=left,
        )
        if best is None or found.energy < best.energy:
            best = found
        if best.variance < _doubtful(best, options) or (should_stop is not None and should_stop()):
            break
    assert best is not None
    return best


def _doubtful(level: SectorLevel, options: LatticeOptions) -> float:
    size = level.state.n_coordinates
    if level.n_parameters > size:
        return DOUBTFUL_IN_FIT
    return DOUBTFUL_IF_SMALL if size <= options.dense_limit else DOUBTFUL_VARIANCE


def with_determinants(
    model: LatticeModel, sector: Sector, options: LatticeOptions, more: int
) -> LatticeOptions:
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


def level_record(
    model: LatticeModel, level: SectorLevel | SampledLevel, exact: float | None
) -> dict[str, Any]:
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

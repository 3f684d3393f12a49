"""From a trained state to a source of samples: what is summed exactly, and how the rest is drawn."""

import time

import numpy as np

from nnbf._processes import agreed
from nnbf.evaluation.determinant_chains import ChainSource
from nnbf.evaluation.samples import EvaluationOptions, Note
from nnbf.evaluation.tabulated_sector import SectorSource
from nnbf.states import SpaceState, symmetry_sector
from nnbf.states.amplitudes import BATCH


def make_source(
    state: SpaceState,
    irreps: np.ndarray,
    options: EvaluationOptions,
    *,
    large: np.ndarray | None = None,
    note: Note = lambda what: None,
) -> SectorSource | ChainSource:
    """Choose how a state is sampled, and prepare that.

    Independent samples of the tabulated sector are taken where the sector is small enough and the table
    takes at most half of the time limit, else Metropolis chains.

    Args:
        state: The trained state.
        irreps: (M,) XOR codes of the orbitals' irreps (zeros where unknown).
        options: Sampler, limits, seed.
        large: Determinants (n, 2 W) that are known to be large; default: found by sampling.
        note: Told what is being done.

    Raises:
        FloatingPointError: Amplitudes are not finite.
    """
    if options.sampler != "metropolis":
        sector = symmetry_sector(state, irreps, options.sector_limit)
        if sector is not None and _affordable(state, sector, options):
            note(f"the network on all {len(sector):,} determinants of the sector")
            return SectorSource(state, sector, options)
    return ChainSource(state, irreps, options, large=large, note=note)


def _affordable(state, sector, options):
    """True where the network can be evaluated on a whole sector in half of the time."""
    if len(sector) <= 2 * BATCH or options.sampler == "sector":
        return True
    state.signed_log(sector[: 2 * BATCH])  # compiles
    started = time.perf_counter()
    state.signed_log(sector[: 2 * BATCH])
    seconds = agreed(time.perf_counter() - started)
    return seconds * len(sector) / (2 * BATCH) < 0.5 * options.time_limit

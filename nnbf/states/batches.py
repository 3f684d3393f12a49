"""How many configurations a network evaluates at once, and on how many cores."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import jax
import numpy as np

from nnbf.ansatz import contract
from nnbf.determinants.parallel import map_tasks

#: Numbers that a layer of the network may hold at once on a CPU: more do not stay in the cache.
_IN_CACHE = 40_000
#: ... and on an accelerator, which wants much to do.
_ON_ACCELERATOR = 40_000_000


def configurations_at_once(n_sites: int, n_passes: int = 1) -> int:
    """Configurations of a lattice for one evaluation of a network that is passed several times.

    On a CPU so few that what a layer makes of them stays in the cache.
    """
    numbers = _IN_CACHE if jax.default_backend() == "cpu" else _ON_ACCELERATOR
    most = max(1, numbers // (16 * n_sites * max(n_passes, 1)))
    return 1 << (most.bit_length() - 1)


def model_at_once(model: Any, n_sites: int) -> int:
    """Configurations that a lattice model evaluates at once."""
    return configurations_at_once(n_sites, contract.n_passes(model))


@partial(jax.jit, static_argnums=0)
def initial_variables(model: Any, key: jax.Array, configurations: jax.Array) -> Any:
    """Variables of a Flax module, by one compiled program: op by op it would take several times longer."""
    return model.init(key, configurations)


def mapped(function: Callable[[Any], jax.Array], blocks: Iterable[Any]) -> list[np.ndarray]:
    """Apply a compiled function to blocks, in order, side by side on the cores of a CPU.

    XLA uses one core for batches of small matrices. The results do not depend on the number of threads.
    """
    tasks = [(block,) for block in blocks]
    if jax.default_backend() != "cpu":
        # All are handed over before the first is waited for.
        return [np.asarray(part) for part in [function(*task) for task in tasks]]

    def whole(block):
        return np.asarray(function(block))

    # The first one compiles.
    return [whole(*task) for task in tasks[:1]] + map_tasks(whole, tasks[1:])

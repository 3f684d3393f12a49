"""log psi of networks on many configurations: the one place that knows about blocks, cores and devices.

Molecular backflow on a CPU goes through compiled kernels (:mod:`nnbf.ansatz.values`), all else through JAX.

Whatever the number of configurations, few shapes are compiled: they are handed to a network in blocks of one
size, the last one filled up with repetitions whose values are cut off again. A list that
stays the same from step to step has a program of its own (``..._of_all``).
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np

from nnbf._compute import on_device, single_passes
from nnbf._devices import by_device, multiple, n_devices, on_host, rows_at_once, spread, within_memory
from nnbf.ansatz import contract
from nnbf.ansatz.device_passes import device_log_psi
from nnbf.ansatz.values import BackflowValues, has_values, in_sector
from nnbf.determinants.parallel import map_tasks
from nnbf.operators import Hamiltonian, MolecularHamiltonian
from nnbf.operators.connections import padded_to, rounded_up
from nnbf.operators.device_words import unpacked

PyTree = Any

#: Determinants that a molecular network takes in one call.
BATCH = 8192
#: ... and where small matrices of so many are to stay in the cache of a CPU.
SMALL_BATCH = 512
#: Bit strings that are handed to the device at once.
MOST_WORDS = 1 << 20
#: Configurations that one call of a compiled lattice network takes.
BLOCK = 4096
#: Numbers that a layer of the network may hold at once on a CPU: more do not stay in the cache.
_IN_CACHE = 40_000
#: ... and on an accelerator, which wants much to do.
_ON_ACCELERATOR = 40_000_000


def model_at_once(model: Any, n_sites: int) -> int:
    """Configurations for one evaluation of a lattice network.

    On a CPU so few that what a layer makes of them in all passes of the network stays in the cache.
    """
    numbers = _IN_CACHE if jax.default_backend() == "cpu" else _ON_ACCELERATOR
    most = max(1, numbers // (16 * n_sites * max(contract.n_passes(model), 1)))
    return 1 << (most.bit_length() - 1)


def batch_of(model: Any) -> int:
    """Determinants that a molecular network takes in one call: as many as there is memory for."""
    layers = sum(getattr(model, "hidden", (0,)))
    rows = 2 * getattr(model, "n_orbitals", 32) * getattr(model, "n_determinants", 1)
    electrons = getattr(model, "n_alpha", 16) + getattr(model, "n_beta", 16)
    return rows_at_once(4 * (layers + rows * electrons))


def device_at_once(model: Any, n_sites: int) -> int:
    """Configurations of one call of a network in programs that keep to the device."""
    if contract.per_sample(model):
        return model_at_once(model, n_sites)
    return SMALL_BATCH if jax.default_backend() == "cpu" else batch_of(model)


def initial_variables(model: Any, key: jax.Array, configurations: jax.Array) -> PyTree:
    """Variables of a Flax module, by one compiled program: op by op it would take several times longer."""
    return _initial_variables(model, key, configurations)


def log_psi(model: Any, variables: PyTree, configurations: np.ndarray, at_once: int) -> np.ndarray:
    """Complex log psi (n,) of configurations (n, modes), ``at_once`` at a time."""
    n = len(configurations)
    block = at_once * max(1, BLOCK // at_once)
    if n <= block // 8:
        block = at_once * rounded_up(-(-n // at_once), 1, 2.0)
    block = multiple(block)
    rows = np.asarray(configurations)

    def evaluated(lo):
        part = padded_to(rows[lo : lo + block], block, rows[0])
        return _log_block(model, at_once, variables, part if n_devices() == 1 else spread(part))

    return np.concatenate(mapped(evaluated, range(0, n, block)))[:n]


def log_psi_function(model: Any, variables: PyTree, n_sites: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from occupations (n, modes) to complex log psi (n,) of a lattice network."""
    at_once = model_at_once(model, n_sites)
    return lambda occupations: log_psi(model, variables, occupations, at_once)


def signed_log_of_strings(
    hamiltonian: Hamiltonian, model: Any, variables: PyTree, configurations: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sign (1 where psi is zero) and log|psi|, each (n,), of a real psi on bit strings of a Hamiltonian."""
    found = compiled_values(hamiltonian, model, variables, configurations)
    return signed_log(model, variables, configurations, hamiltonian.network_input) if found is None else found


def compiled_values(
    hamiltonian: Hamiltonian, model: Any, variables: PyTree, configurations: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """The same by compiled kernels, or on the device from packed words; None where neither is possible."""
    if on_device():
        return _device_values(hamiltonian, model, variables, configurations)
    if not (
        isinstance(hamiltonian, MolecularHamiltonian)
        and has_values(model)
        and in_sector(model, configurations)
    ):
        return None
    sign, log_abs = BackflowValues(model, variables)(configurations)
    return np.where(sign < 0, -1.0, 1.0), log_abs


def _device_values(hamiltonian, model, variables, configurations):
    rows_of = hamiltonian.device_rows()
    if rows_of is None:
        return None
    at_once = device_at_once(model, hamiltonian.n_sites)
    single = single_passes()

    def found(at_once):
        form = (rows_of.n_modes, rows_of.n_blocks, at_once, single)
        parts = []
        for lo in range(0, len(configurations), MOST_WORDS):
            part = configurations[lo : lo + MOST_WORDS]
            words = padded_to(part, rounded_up(len(part), 64, 1.25), part[0])
            values = _signed_log_of_words(model, variables, words.T, len(part), *form)
            parts.append([on_host(array)[: len(part)] for array in values])
        return map(np.concatenate, zip(*parts, strict=True))

    sign, log_abs = within_memory(found, at_once)
    return sign, log_abs


@partial(jax.jit, static_argnums=(0, 4, 5, 6, 7))
def _signed_log_of_words(model, variables, words, count, n_modes, n_blocks, at_once, single):
    logs = device_log_psi(model, variables, unpacked(words, n_modes, n_blocks), count, at_once, single)
    return jnp.where(jnp.cos(logs.imag) < 0, -1.0, 1.0), logs.real


def signed_log(
    model: Any,
    variables: PyTree,
    configurations: np.ndarray,
    network_input: Callable[[np.ndarray], jax.Array] = jnp.asarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Sign and log|psi|, each (n,), of a real psi.

    Args:
        model: Flax module.
        variables: Its variables.
        configurations: (n, ...), up to :data:`BATCH` in one call.
        network_input: From a block of them to what the network takes.
    """
    n = len(configurations)

    def found(most):
        size = multiple(min(n, most))
        parts = np.split(configurations, range(size, n, size))
        blocks = [padded_to(part, size, part[0]) for part in parts]
        values = [signed_log_of_all(model, variables, spread(network_input(block))) for block in blocks]
        return [np.concatenate([on_host(value[k]) for value in values])[:n] for k in range(2)]

    sign, log_abs = within_memory(found, batch_of(model))
    return sign, log_abs


@partial(jax.jit, static_argnums=(0, 3))
def log_psi_of_all(model: Any, variables: PyTree, configurations: jax.Array, at_once: int):
    """Complex log psi (n,) of a list that is evaluated many times: compiled for its length, no padding."""
    apply = nk.jax.apply_chunked(model.apply, in_axes=(None, 0), chunk_size=at_once)
    return apply(variables, configurations)


@partial(jax.jit, static_argnums=0)
def signed_log_of_all(model: Any, variables: PyTree, configurations: jax.Array):
    """Sign and log|psi| (n,) of a real psi by one call of the network."""
    logs = by_device(model.apply)(variables, configurations)
    return jnp.where(jnp.cos(jnp.imag(logs)) < 0, -1.0, 1.0), jnp.real(logs)


def mapped(function: Callable[[Any], jax.Array], blocks: Iterable[Any]) -> list[np.ndarray]:
    """Apply a compiled function to blocks, in order, side by side on the cores of a CPU.

    XLA uses one core for batches of small matrices. The results do not depend on the number of threads.
    """
    tasks = [(block,) for block in blocks]
    if jax.default_backend() != "cpu" or n_devices() > 1:
        # All are handed over before the first is waited for.
        return [on_host(part) for part in [function(*task) for task in tasks]]

    def whole(block):
        return np.asarray(function(block))

    # The first one compiles.
    return [whole(*task) for task in tasks[:1]] + map_tasks(whole, tasks[1:])


@partial(jax.jit, static_argnums=0)
def _initial_variables(model, key, configurations):
    return model.init(key, configurations)


@partial(jax.jit, static_argnums=(0, 1))
def _log_block(model, at_once, variables, configurations):
    def apply(variables, rows):
        return jax.lax.map(lambda x: model.apply(variables, x[None])[0], rows, batch_size=at_once)

    return by_device(apply)(variables, configurations)

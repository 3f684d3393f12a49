"""Local energies of samples where connections, amplitudes and sums stay on the device."""

from typing import NamedTuple

import jax
import netket as nk
import numpy as np

from nnbf._compute import on_device, single_passes
from nnbf._devices import on_host
from nnbf.ansatz.device_passes import device_log_psi
from nnbf.determinants.rows import Rounding
from nnbf.operators import Connections, Hamiltonian
from nnbf.operators.device_connections import device_connections
from nnbf.operators.local_energy import energies_of_rows
from nnbf.states.amplitudes import device_at_once


class DeviceEnergies(NamedTuple):
    """What the host sees of samples: nothing is longer than they are."""

    first: np.ndarray
    """(n,) a sample of each distinct one."""
    of_sample: np.ndarray
    """(n_samples,) which of them every sample is."""
    local: np.ndarray
    """(n,) complex local energies."""
    log_psi: np.ndarray
    """(n,) complex."""
    evaluations: int
    """Configurations that the network was evaluated on."""


def has_device_energies(hamiltonian: Hamiltonian) -> bool:
    """True where the rows of a Hamiltonian are made on the device, and are to be."""
    return on_device() and hamiltonian.device_rows() is not None


def device_energies(
    state: nk.vqs.MCState,
    hamiltonian: Hamiltonian,
    samples: jax.Array,
    *,
    spin_flip: bool = False,
    rounding: Rounding | None = None,
) -> DeviceEnergies:
    """Local energies of samples (n_samples, modes), each of the distinct ones once.

    Args:
        state: Model, variables, and the configurations that are evaluated at once.
        hamiltonian: One that :func:`has_device_energies`.
        samples: Configurations, on the device.
        spin_flip: Whether psi is even under spin flip.
        rounding: Of small elements of the Hamiltonian.
    """
    rows_of = hamiltonian.device_rows()
    assert rows_of is not None
    # Arrays as long as those of the step before were enough for.
    known = hamiltonian.__dict__.setdefault("_device_sizes", {})
    key = (len(samples), spin_flip, rounding is not None)
    found, known[key] = device_connections(
        rows_of, samples, known.get(key), spin_flip=spin_flip, rounding=rounding
    )
    connections, model = found.connections, state.model
    counts = on_host(found.counts)
    count = counts[3]
    at_once = state.chunk_size or device_at_once(model, hamiltonian.n_sites)
    occupations = connections.occupations
    logs = device_log_psi(model, state.variables, occupations, count, at_once, single_passes())
    local, own = _sums(connections, logs)
    n = int(counts[0])
    return DeviceEnergies(
        on_host(found.first)[:n],
        on_host(connections.of_sample),
        on_host(local)[:n],
        on_host(own)[:n],
        -(-int(count) // at_once) * at_once,
    )


@jax.jit
def _sums(connections: Connections, logs: jax.Array) -> tuple[jax.Array, jax.Array]:
    return energies_of_rows(logs, connections), logs[connections.own]

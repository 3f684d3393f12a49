"""The trained wave function of a run folder: what it describes, and where its amplitudes are large."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hamiltonians.errors import InputError
from nnbf._program import typed
from nnbf.drivers.methods import make_options
from nnbf.runs.directory import RunDirectory
from nnbf.runs.schema import is_lattice

if TYPE_CHECKING:
    from hamiltonians import Molecule
    from nnbf.states import SpaceState


@dataclass(frozen=True, eq=False)
class TrainedState:
    """A wave function as a run left it."""

    directory: RunDirectory
    """The folder of the run."""
    system: "Molecule"
    """What was solved."""
    options: Any
    """Options of the run's method."""
    state: "SpaceState"
    """The network with its parameters, on V; on the reference determinant where no V is known."""
    determinants: np.ndarray | None
    """V, (n, 2 W) bit strings; None where the run has none."""
    step: int | None
    """Optimisation steps that were made; None where only the final parameters are left."""
    notes: tuple[str, ...]
    """One line for everything that is not as it should be."""


@dataclass(frozen=True, eq=False)
class NewestParameters:
    """Parameters of a run's network, and its V, as read from disk."""

    leaves: Any
    """The arrays of the network: a list, in the order of JAX, or nested dictionaries."""
    determinants: np.ndarray | None
    """V, (n, 2 W) bit strings, where the run has one."""
    step: int | None
    """Optimisation steps made; None where only the final parameters are left."""
    notes: tuple[str, ...]
    """One line for everything that is not as it should be."""
    network: dict[str, Any] | None = None
    """The network (`nnbf.ansatz.ansatz_spec`), where the files say which."""


def newest_parameters(folder: RunDirectory, config: Mapping[str, Any]) -> NewestParameters:
    """Read the newest whole checkpoint of a run, or else its final parameters.

    Raises:
        InputError: There are none.
    """
    found = folder.checkpoints(config).load()
    final = folder.read_checkpoint() if folder.checkpoint_file.is_file() else None
    determinants = None if final is None else final.determinants
    if found.snapshot is not None:
        driver = found.snapshot["driver"]
        determinants = driver.get("determinants", determinants)
        network = found.snapshot.get("network", None if final is None else final.network)
        return NewestParameters(
            driver["variables"], determinants, int(driver["step"]), found.problems, network
        )
    if final is None:
        raise InputError(
            f"{folder.path} holds no checkpoint that is whole: run it for longer with "
            f"{typed('resume', folder.path)}"
        )
    return NewestParameters(final.parameters, determinants, None, found.problems, final.network)


def load_trained(folder: RunDirectory) -> TrainedState:
    """Read the newest whole checkpoint of a run, or else its final parameters.

    Raises:
        InputError: There is no trained wave function, or the files do not fit together.
    """
    config = folder.read_config()
    if is_lattice(config):
        raise InputError(f"{folder.path} holds levels of a lattice model, no molecule")
    if not folder.system_file.is_file():
        raise InputError(f"{folder.path} has no {folder.system_file.name}: give the folder of a run")
    system = folder.read_system()
    if not hasattr(system, "integrals"):
        raise InputError(f"{folder.path} holds no molecule: {typed('evaluate')} samples those only")
    options = make_options(system.format, config.get("options"))
    found = newest_parameters(folder, config)
    state = _state(system, options, found, folder)
    return TrainedState(folder, system, options, state, found.determinants, found.step, found.notes)


def _state(system: "Molecule", options: Any, found: NewestParameters, folder: RunDirectory) -> "SpaceState":
    """Return the state; its parameters are the leaves of all variables, or the tree of parameters."""
    import jax

    from nnbf.ansatz import ansatz_from_spec
    from nnbf.drivers import make_model
    from nnbf.drivers.monitor import unpack_tree
    from nnbf.operators import MolecularHamiltonian
    from nnbf.states import SpaceState

    # Folders of format 1 do not say which network it is: that of their options.
    model = make_model(system, options) if found.network is None else ansatz_from_spec(found.network)
    state = SpaceState(MolecularHamiltonian(system.integrals), model, seed=options.seed)
    try:
        if isinstance(found.leaves, list):
            state.variables = unpack_tree(found.leaves, like=state.variables)
        else:
            state.parameters = unpack_tree(jax.tree.leaves(found.leaves), like=state.parameters)
    except ValueError as error:
        raise InputError(f"the checkpoint of {folder.path} does not fit its options: {error}") from error
    if found.determinants is not None:
        state.set_determinants(found.determinants)
    return state

"""Starts from a state that was trained before, on a neighbouring geometry say, and the watch over them."""

from dataclasses import dataclass
from typing import Any, Protocol

import jax
import numpy as np

from hamiltonians import InputError, Molecule, irrep_bits
from nnbf.determinants import unpack_occupations
from nnbf.determinants.configurations import spin_flip_representatives
from nnbf.drivers.monitor import unpack_tree
from nnbf.states import SpaceState
from nnbf.states.selected_ci import lowest_eigenpairs

#: Weight of the start in the lowest states on its space below which it is given up.
LEAST_WEIGHT = 0.5
#: States this close to the lowest one (Hartree) count as the lowest.
SAME_LEVEL = 1e-3
#: A state that ends this many times the accuracy asked for above the lowest one on V is worth a warning.
WORTH_A_WARNING = 2.5

_LEVELS = 4


class Start(Protocol):
    """Where to start from: a :class:`~nnbf.drivers.level.Level`, or a checkpoint of a run folder.

    Its orbitals have to be those of the system: see :func:`hamiltonians.align_orbitals`.
    """

    @property
    def parameters(self) -> Any:
        """Parameter tree of the network, or the list of its leaves."""

    @property
    def determinants(self) -> np.ndarray | None:
        """Variational space V, (n, 2 W) bit strings; None or empty where unknown."""


@dataclass(frozen=True)
class Taken:
    """Fate of a start."""

    used: bool
    """True where the state was taken over; if not, everything is as it was before."""
    note: str | None = None
    """Why not, in one line."""


def take_over(state: SpaceState, start: Start, system: Molecule) -> Taken:
    """Set parameters and space of a state to those of a start, unless that follows another state.

    Where levels cross between two geometries, the start is close to an excited state of the new one, and
    the optimisation may stay there. So it is compared with the lowest states of H on its own space, and given
    up where it has less than half of its weight in them. That depends on nothing but the arguments.

    Args:
        state: A state before its first step.
        start: Parameters and V.
        system: What is solved.

    Raises:
        InputError: The parameters are those of another network.
    """
    variables, determinants = state.variables, state.determinants
    try:
        state.parameters = unpack_tree(jax.tree.leaves(start.parameters), like=state.parameters)
    except ValueError as error:
        raise InputError(
            f"the start is that of another network ({error}): give the same options as there"
        ) from error
    if start.determinants is None or len(start.determinants) == 0:
        return Taken(True)
    space = _fitting(start.determinants, state, system)
    if len(space) == 0:
        return Taken(True)
    state.set_determinants(space)
    try:
        weight = weight_in_lowest(state)
    except FloatingPointError:
        weight = 0.0
    if weight >= LEAST_WEIGHT:
        state.reset()  # the first step counts its evaluations, as it does where a run is resumed
        return Taken(True)
    state.variables = variables
    state.set_determinants(determinants)
    return Taken(
        False,
        f"the start has a weight of {weight:.2f} in the lowest state here: it would follow another one, "
        "so the run begins from Hartree-Fock",
    )


def weight_in_lowest(state: SpaceState) -> float:
    """Weight of a state, 0 to 1, in the lowest level of what it minimises on its space."""
    amplitudes = state.amplitudes()
    values, vectors = lowest_levels(state)
    inside = values <= values[0] + SAME_LEVEL
    return float(np.sum((vectors[:, inside].T @ amplitudes) ** 2))


def lowest_levels(state: SpaceState) -> tuple[np.ndarray, np.ndarray]:
    """Lowest eigenvalues (Hartree, rising) and eigenvectors (n, k) of the objective on the space.

    The sparse matrix is there already: this takes some tens of products with it (Lanczos).
    """
    return lowest_eigenpairs(state.minimised, _LEVELS)


def excess(state: SpaceState) -> float:
    """Energy of a state above the lowest level on its space, Hartree."""
    return state.objective_at(state.variables) - float(lowest_levels(state)[0][0])


def excess_warning(state: SpaceState, accuracy: float) -> str | None:
    """Warning where a state that did not begin from Hartree-Fock has ended too high."""
    above = excess(state)
    if above <= WORTH_A_WARNING * accuracy:
        return None
    return (
        f"the state ended {1e3 * above:.2f} mHa above the lowest one on its variational space: "
        "run again without a start, and take the lower energy"
    )


def _fitting(determinants: np.ndarray, state: SpaceState, system: Molecule) -> np.ndarray:
    """Return the determinants that lie in the reference's irrep, each once, in their order."""
    determinants = np.ascontiguousarray(determinants, dtype=np.uint64)
    reference = state.hamiltonian.reference
    if determinants.ndim != 2 or determinants.shape[1] != reference.shape[-1]:
        raise InputError("the start has determinants over another number of orbitals: give one that fits")
    if state.spin_flip:
        determinants = spin_flip_representatives(determinants)
    _, first = np.unique(determinants, axis=0, return_index=True)
    determinants = determinants[np.sort(first)]
    size = state.hamiltonian.n_orbitals
    codes = np.tile(irrep_bits(system.integrals), 2)
    bits = (codes[:, None] >> np.arange(8)) & 1
    parities, target = (
        np.asarray(unpack_occupations(rows, size), dtype=np.int64) @ bits % 2
        for rows in (determinants, reference)
    )
    return determinants[np.all(parities == target, axis=1)]

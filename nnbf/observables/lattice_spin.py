r"""<S^2> and double occupancy of Hubbard states.

.. math:: S^2 = S_z (S_z + 1) + S_- S_+, \qquad
    S_- S_+ = \sum_{ij} c^\dagger_{i\downarrow} c_{i\uparrow} c^\dagger_{j\uparrow} c_{j\downarrow}

Its diagonal counts sites that hold a down particle alone; off the diagonal a site i with up alone and a
site j with down alone exchange spins, with minus the product of the signs of the hops i to j of the up and
j to i of the down particle, each within its own block.
"""

import numpy as np

from hamiltonians.errors import InputError
from hamiltonians.lattice import LatticeModel
from nnbf.observables.lattice_samples import LogPsi, WeightedConfigurations
from nnbf.observables.result import Estimate


def lattice_s_squared(
    model: LatticeModel, configurations: WeightedConfigurations, log_psi: LogPsi
) -> Estimate:
    """<S^2> of a state: S (S + 1) for total spin S.

    Raises:
        InputError: The model is spinless.
        FloatingPointError: log psi is not finite.
    """
    _require_spin(model)
    up, down = model.particles
    s_z = 0.5 * (up - down)
    most = max(1, min(up, model.n_sites - down) * min(down, model.n_sites - up))

    def images_of(occupations):
        return spin_exchanges(occupations, model.n_sites)

    exchanges = configurations.off_diagonal(log_psi, images_of, most)
    alone = down - _doubly_occupied(model, configurations.occupations).sum(axis=1)
    return configurations.average(s_z * (s_z + 1.0) + alone + exchanges.real)


def double_occupancy(model: LatticeModel, configurations: WeightedConfigurations) -> Estimate:
    """Share of doubly occupied sites, (1 / N_s) sum_i <n_up n_down>.

    Raises:
        InputError: The model is spinless.
    """
    _require_spin(model)
    return configurations.average(_doubly_occupied(model, configurations.occupations).mean(axis=1))


def spin_exchanges(occupations: np.ndarray, n_sites: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Off-diagonal part of S_- S_+ on configurations, up block first.

    Args:
        occupations: (n, 2 n_sites) of 0 and 1.
        n_sites: Sites.

    Returns:
        Rows (c,) of the configurations, what they become (c, 2 n_sites), matrix elements (c,), +1 or -1.
    """
    up, down = occupations[:, :n_sites].astype(np.int64), occupations[:, n_sites:].astype(np.int64)
    only_up, only_down = (up == 1) & (down == 0), (up == 0) & (down == 1)
    rows, i, j = np.nonzero(only_up[:, :, None] & only_down[:, None, :])
    images = occupations[rows].copy()
    every = np.arange(len(rows))
    images[every, i], images[every, j] = 0, 1
    images[every, n_sites + j], images[every, n_sites + i] = 0, 1
    low, high = np.minimum(i, j), np.maximum(i, j)
    # Neither block has a particle at both ends: those from low to high less the one there.
    through = np.cumsum(up + down, axis=1)
    between = through[rows, high] - through[rows, low] - 1
    return rows, images, np.where(between % 2 == 0, -1.0, 1.0)


def _doubly_occupied(model, occupations):
    size = model.n_sites
    return (occupations[:, :size] & occupations[:, size:]).astype(float)


def _require_spin(model: LatticeModel) -> None:
    if not model.is_spinful:
        raise InputError("spin of a spinless model: give a Hubbard model")

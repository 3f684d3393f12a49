r"""S^2 on configurations of spinful lattice fermions, up block first.

.. math:: S^2 = S_z (S_z + 1) + S_- S_+, \qquad
    S_- S_+ = \sum_{ij} c^\dagger_{i\downarrow} c_{i\uparrow} c^\dagger_{j\uparrow} c_{j\downarrow}

Its diagonal counts sites that hold a down particle alone; off the diagonal a site i with up alone and a
site j with down alone exchange spins, with minus the product of the signs of the hops i to j of the up and
j to i of the down particle, each within its own block.
"""

import numpy as np


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


def s_squared_diagonal(occupations: np.ndarray, n_sites: int) -> np.ndarray:
    """Diagonal part (n,) of S^2 for occupations (n, 2 n_sites), up block first."""
    up, down = (occupations[:, part].sum(axis=1) for part in (slice(n_sites), slice(n_sites, None)))
    s_z = 0.5 * (up.astype(float) - down)
    return s_z * (s_z + 1.0) + down - doubly_occupied(occupations, n_sites).sum(axis=1)


def doubly_occupied(occupations: np.ndarray, n_sites: int) -> np.ndarray:
    """(n, n_sites) of 0.0 and 1.0: sites with both spins."""
    return (occupations[:, :n_sites] & occupations[:, n_sites:]).astype(float)

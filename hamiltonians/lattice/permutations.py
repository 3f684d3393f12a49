"""Permutations of sites acting on configurations of fermions, with their signs."""

import numpy as np


def move_configurations(
    configurations: np.ndarray, permutation: np.ndarray, phases: np.ndarray, spin_flip: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    r"""Apply U_g to configurations: U_g |n> = factor |moved>.

    |n> is the product of creation operators in ascending mode order, all up before all down. U_g moves
    them one by one; the factor holds their phases and the parity of putting them back in order. Spin flip
    is the rotation by pi about the x axis in spin space: it exchanges the two blocks without a sign and
    is (-1)^S on a state of total spin S with N_up = N_down.

    Args:
        configurations: (n, n_modes) occupations, n_modes once or twice n_sites.
        permutation: (n_sites,) site i goes to permutation[i].
        phases: (n_sites,) factor of a particle on site i.
        spin_flip: Whether to exchange up and down, too.

    Returns:
        (n, n_modes) occupations and (n,) factors of modulus 1.
    """
    configurations = np.asarray(configurations)
    size = len(permutation)
    blocks = configurations.reshape(len(configurations), -1, size)
    moved = np.empty_like(blocks)
    moved[..., permutation] = blocks
    if spin_flip:
        moved = moved[:, ::-1]
    crossed = np.triu(permutation[:, None] > permutation[None, :], k=1).astype(float)
    occupied = blocks.astype(float)
    crossings = np.einsum("nsi,nsi->n", occupied @ crossed, occupied)
    factors = np.where(np.rint(crossings) % 2 == 0, 1.0, -1.0)
    factors = factors * np.prod(np.where(blocks == 1, phases, 1.0), axis=(1, 2))
    return moved.reshape(configurations.shape), factors


def traces_by_number(permutation: np.ndarray, phases: np.ndarray, most: int) -> np.ndarray:
    """Return (most + 1,) traces of U_g over the configurations of 0, 1, ... particles of one spin.

    Only configurations made of whole cycles of g return to themselves: a cycle of length l gives its
    phases times the parity (-1)^(l - 1), so the traces are the coefficients of a product over cycles.
    """
    result = np.zeros(most + 1, dtype=phases.dtype)
    result[0] = 1.0
    seen = np.zeros(len(permutation), dtype=bool)
    for start in range(len(permutation)):
        length, factor, site = 0, -1.0, start
        while not seen[site]:
            seen[site] = True
            factor = -factor * phases[site]
            site, length = permutation[site], length + 1
        if 0 < length <= most:
            result[length:] = result[length:] + factor * result[:-length]
    return result

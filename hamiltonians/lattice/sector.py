"""One symmetry sector of a lattice model: its labels, and the group elements and weights that project on it.

`space_group(model).sector(...)` makes them; see there for the conventions. `move_configurations` lets a group
element act on configurations of fermions.
"""

from dataclasses import dataclass

import numpy as np

Momentum = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Sector:
    r"""A symmetry sector by name, with what projects onto it.

    .. math:: P = \frac{d}{|G'|} \sum_{g \in G'} \chi_g^* U_g

    sums over the little group G' of the momentum (times spin flip, if that is used), with the characters of
    one irrep of dimension d, or with the diagonal elements D_rr of one `row` r of it. Partner rows and the
    other momenta of the star have the same energies.
    """

    momentum: Momentum
    """(mx, my), each from 0 to L - 1; 0 along an open direction."""
    wave_vector: tuple[float, float]
    """Momentum with the twist, Cartesian, modulo reciprocal lattice vectors."""
    little_group: str
    """Point group that leaves the momentum invariant: C4v, C2, Cs, ..."""
    irrep: str | None
    """Irrep of the little group; None for momentum alone."""
    row: int | None
    """Row of the irrep that is projected on; None for all of them."""
    spin_flip: int | None
    """+1 for even total spin (singlets, quintets), -1 for odd (triplets); None where not resolved."""
    star: tuple[Momentum, ...]
    """Momenta that the point group makes of this one, itself included."""
    n_states: int
    """States of this momentum, in one row of the irrep: the size of the matrix to diagonalise."""
    particles: tuple[int, ...]
    """Particles of each spin (the momentum of a twisted lattice depends on them)."""
    permutations: np.ndarray
    """(|G'|, n_sites) int, site i goes to permutations[g, i]."""
    phases: np.ndarray
    """(|G'|, n_sites) factor of a particle on site i; real where possible."""
    spin_flips: np.ndarray
    """(|G'|,) bool, whether the element also exchanges the spins."""
    representation: np.ndarray
    """(|G'|, d, d) unitary D(g), translations e^{-ik.tau} and spin flip included."""

    @property
    def dimension(self) -> int:
        """Dimension d of the little-group irrep."""
        return self.representation.shape[1]

    @property
    def degeneracy(self) -> int:
        """How often a level of the sector occurs in the whole spectrum, by symmetry: d times the star."""
        return self.dimension * len(self.star)

    @property
    def characters(self) -> np.ndarray:
        """(|G'|,) chi_g = tr D(g), or D_rr(g) where a row is chosen."""
        if self.row is None:
            return np.trace(self.representation, axis1=1, axis2=2)
        return self.representation[:, self.row, self.row]

    @property
    def weights(self) -> np.ndarray:
        """(|G'|,) factors of U_g in the projector: d conj(chi_g) / |G'|."""
        return self.dimension / len(self.representation) * self.characters.conj()

    @property
    def is_real(self) -> bool:
        """True where projector and representation are real."""
        return not np.iscomplexobj(self.phases) and not np.iscomplexobj(self.representation)

    @property
    def label(self) -> str:
        """Short name, such as `(0,0) B2` or `(2,0) A1 even spin`."""
        parts = [f"({self.momentum[0]},{self.momentum[1]})"]
        if self.irrep is not None:
            parts.append(self.irrep if self.row is None else f"{self.irrep} row {self.row}")
        if self.spin_flip is not None:
            parts.append("even spin" if self.spin_flip == 1 else "odd spin")
        return " ".join(parts)

    def __repr__(self) -> str:
        return f"Sector({self.label}, little group {self.little_group}, {self.n_states} states)"


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

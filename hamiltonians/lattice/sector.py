"""One symmetry sector of a lattice model: its labels, and the group elements and weights that project on it.

`space_group(model).sector(...)` makes them; see there for the conventions.
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

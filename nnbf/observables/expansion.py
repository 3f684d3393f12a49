"""A real wave function as a list of determinants and amplitudes: what observables are computed from."""

from functools import cached_property

import numpy as np

from nnbf.determinants import build_hash_table, multiplicities


class Expansion:
    r"""A normalised real state :math:`\sum_n \psi(n) |n\rangle` over distinct determinants.

    FCI vectors, selected spaces and whole symmetry sectors all take this form.
    """

    def __init__(
        self,
        determinants: np.ndarray,
        amplitudes: np.ndarray,
        n_orbitals: int,
        *,
        spin_flip: bool = False,
        irreps: np.ndarray | None = None,
    ):
        """Normalise the state.

        Args:
            determinants: (n, 2 W) distinct bit strings with the same electrons.
            amplitudes: (n,) psi, real, any norm.
            n_orbitals: Spatial orbitals M.
            spin_flip: Whether each entry stands for itself and its spin flip, with the same amplitude.
            irreps: (M,) XOR codes of the orbital irreps. To be given only where all determinants lie in
                one irrep: what couples different ones is then not looked up.

        Raises:
            ValueError: Shapes disagree, the amplitudes vanish or are not finite, a determinant occurs
                twice, or spin flip is asked for with different numbers of alpha and beta electrons.
        """
        self.determinants = np.ascontiguousarray(determinants, dtype=np.uint64)
        """(n, 2 W) bit strings."""
        psi = np.array(amplitudes, dtype=np.float64)
        if self.determinants.ndim != 2 or psi.shape != (len(self.determinants),) or not len(psi):
            raise ValueError(f"{self.determinants.shape} determinants and {psi.shape} amplitudes do not fit")
        self.n_orbitals = int(n_orbitals)
        """Spatial orbitals M."""
        self.spin_flip = bool(spin_flip)
        """Whether entries are spin-flip representatives."""
        n_words = self.determinants.shape[1] // 2
        counts = np.bitwise_count(self.determinants)
        alpha, beta = counts[:, :n_words].sum(axis=1), counts[:, n_words:].sum(axis=1)
        if np.any(alpha != alpha[0]) or np.any(beta != beta[0]):
            raise ValueError("the determinants differ in their numbers of electrons")
        self.n_alpha, self.n_beta = int(alpha[0]), int(beta[0])
        if self.spin_flip and self.n_alpha != self.n_beta:
            raise ValueError("spin flip needs as many alpha as beta electrons")
        self.multiplicity = multiplicities(self.determinants, self.spin_flip)
        """(n,) how many determinants each entry stands for."""
        norm = float(np.sum(self.multiplicity * psi**2))
        if not np.isfinite(norm) or norm <= 0.0:
            raise ValueError("the amplitudes vanish or are not finite")
        self.amplitudes = psi / np.sqrt(norm)
        """(n,) psi, normalised over all determinants that the entries stand for."""
        self.irreps = np.zeros(self.n_orbitals, np.int64) if irreps is None else np.array(irreps, np.int64)
        """(M,) irrep codes, zeros where they are not used."""

    def __len__(self) -> int:
        return len(self.determinants)

    @property
    def n_electrons(self) -> int:
        """Number of electrons."""
        return self.n_alpha + self.n_beta

    @property
    def s_z(self) -> float:
        """Spin projection, half the difference of alpha and beta electrons."""
        return 0.5 * (self.n_alpha - self.n_beta)

    @cached_property
    def slots(self) -> np.ndarray:
        """Hash table of the determinants."""
        return build_hash_table(self.determinants)

    @cached_property
    def weights(self) -> np.ndarray:
        """(n,) multiplicity times amplitude: the a_i of :mod:`nnbf.determinants.density_sums`."""
        return self.multiplicity * self.amplitudes

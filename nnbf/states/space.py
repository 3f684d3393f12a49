"""Configurations that a state is summed over, and how values of psi on them become coordinates."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse

from nnbf.determinants import multiplicities, spin_flip_representatives
from nnbf.operators import Hamiltonian


@dataclass(frozen=True, eq=False)
class Space:
    r"""A list of configurations with an orthonormal basis of states on them.

    Coordinates of a wave function are :math:`a_i = \sqrt{m_i}\, \psi(n_i)` with multiplicities m, or
    :math:`a = T \psi` with a sparse T, as on the orbits of a symmetry sector.
    """

    configurations: np.ndarray
    """(n, W) bit strings, all different, as ``Hamiltonian.pack`` makes them."""
    multiplicity: np.ndarray
    """(n,) how many configurations each entry stands for; weights of samples may be in it."""
    spin_flip: bool = False
    """True where entries stand for even combinations of a configuration and its spin flip."""
    complete: bool = False
    """True where these are all: the energy is then of kind ``full_sum``, else ``variational``."""
    transform: scipy.sparse.csr_matrix | None = None
    """T (n_states, n), from psi to coordinates; None where the square roots of ``multiplicity`` do that."""
    matrix: scipy.sparse.csr_matrix | None = None
    """Hermitian H on the coordinates, where it is known; None where the Hamiltonian is to make it."""

    @classmethod
    def selected(cls, configurations: np.ndarray, *, spin_flip: bool = False, complete: bool = False):
        """A list of configurations; with spin flip representatives are taken, and must be distinct.

        Args:
            configurations: (n, W) bit strings.
            spin_flip: Whether psi is even under spin flip.
            complete: Whether these are all there are.
        """
        configurations = np.ascontiguousarray(configurations, dtype=np.uint64)
        if spin_flip:
            configurations = spin_flip_representatives(configurations)
        return cls(configurations, multiplicities(configurations, spin_flip), spin_flip, complete)

    @classmethod
    def reference(cls, hamiltonian: Hamiltonian, *, spin_flip: bool = False):
        """The reference configuration of a Hamiltonian alone."""
        return cls.selected(hamiltonian.reference, spin_flip=spin_flip)

    @classmethod
    def whole(cls, hamiltonian: Hamiltonian):
        """All configurations of a Hilbert space that can be enumerated."""
        return cls.selected(hamiltonian.pack(hamiltonian.hilbert.all_states()), complete=True)

    @classmethod
    def sector(
        cls,
        configurations: np.ndarray,
        transform: scipy.sparse.spmatrix,
        matrix: scipy.sparse.spmatrix,
    ):
        """A symmetry sector.

        Args:
            configurations: (n, W) bit strings.
            transform: T (n_states, n), block diagonal by orbit.
            matrix: Hermitian H (n_states, n_states).
        """
        return cls(
            configurations,
            np.ones(len(configurations)),
            complete=True,
            transform=scipy.sparse.csr_matrix(transform),
            matrix=scipy.sparse.csr_matrix(matrix),
        )

    def __len__(self) -> int:
        return len(self.configurations)

    @property
    def n_states(self) -> int:
        """Dimension."""
        return len(self) if self.transform is None else self.transform.shape[0]

    @property
    def is_real(self) -> bool:
        """True where coordinates of a real psi, and H as far as it is known, are real."""
        known = (self.transform, self.matrix)
        return not any(part is not None and np.iscomplexobj(part.data) for part in known)

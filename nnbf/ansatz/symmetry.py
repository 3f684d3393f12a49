"""Symmetry elements of a lattice, and the weights of a projector, as arrays."""

from dataclasses import dataclass

import numpy as np
from netket.utils import HashableArray

from nnbf.ansatz.registry import register_ansatz


@register_ansatz("symmetry_elements")
@dataclass(frozen=True)
class SymmetryElements:
    r"""The operator :math:`\sum_g w_g \hat g` on the states of lattice fermions.

    :math:`\hat g\, c^\dagger_{i\sigma} \hat g^{-1} = \varphi_g(i)\, c^\dagger_{g(i)\sigma'}` with
    :math:`\sigma'` the other spin where g flips spins. A spin flip is taken as
    :math:`\psi(n_\uparrow, n_\downarrow) \to \psi(n_\downarrow, n_\uparrow)`, up block first: +1 on singlets,
    :math:`(-1)^S` at S_z = 0 in general. Weights of a sector are :math:`w_g = (d/|G|)\, \chi_g^*`.
    """

    permutations: HashableArray
    """(G, n_sites) whole numbers: site i goes to permutations[g, i]."""
    phases: HashableArray
    """(G, n_sites) factor of a particle moved from site i, real or complex."""
    weights: HashableArray
    """(G,) weights, real or complex."""
    spin_flips: HashableArray
    """(G,) whether an element exchanges the spins."""

    @classmethod
    def from_arrays(
        cls,
        permutations: np.ndarray,
        phases: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        spin_flips: np.ndarray | None = None,
    ) -> "SymmetryElements":
        """Return checked elements.

        Args:
            permutations: (G, n_sites).
            phases: (G, n_sites); default: all 1.
            weights: (G,); default: all 1 / G, the trivial irrep.
            spin_flips: (G,); default: none.

        Raises:
            ValueError: A shape is wrong, or a row is no permutation.
        """
        permutations = np.asarray(permutations)
        if permutations.ndim != 2 or not np.array_equal(
            np.sort(permutations, axis=1),
            np.broadcast_to(np.arange(permutations.shape[1]), permutations.shape),
        ):
            raise ValueError("permutations must have shape (G, n_sites) and every site in every row once")
        count = len(permutations)
        phases = np.ones(permutations.shape) if phases is None else real_if_real(phases)
        weights = np.full(count, 1.0 / count) if weights is None else real_if_real(weights)
        spin_flips = np.zeros(count, dtype=bool) if spin_flips is None else np.asarray(spin_flips, dtype=bool)
        for name, array, shape in (
            ("phases", phases, permutations.shape),
            ("weights", weights, (count,)),
            ("spin_flips", spin_flips, (count,)),
        ):
            if array.shape != shape:
                raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
        arrays = (permutations.astype(np.int64), phases, weights, spin_flips)
        return cls(*(HashableArray(array) for array in arrays))

    @classmethod
    def identity(cls, n_sites: int) -> "SymmetryElements":
        """Return the identity alone: no projection."""
        return cls.from_arrays(np.arange(n_sites)[None])

    def __len__(self) -> int:
        return len(np.asarray(self.permutations))


def real_if_real(array) -> np.ndarray:
    """Return an array as real numbers where its imaginary parts are rounding errors."""
    array = np.asarray(array)
    if np.iscomplexobj(array):
        scale = np.abs(array).max(initial=0.0)
        if np.abs(array.imag).max(initial=0.0) <= 1e-13 * scale:
            return array.real.copy()
        return array
    return array.astype(float)

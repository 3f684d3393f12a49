"""How a projection is shared out over network passes and determinants."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from nnbf.ansatz.orbitals import LatticeOrbitals
from nnbf.ansatz.symmetry import SymmetryElements, real_if_real


@dataclass(frozen=True)
class ProjectionPlan:
    """Plan of an evaluation: C passes of the network, R determinants (times D) after each."""

    moved: np.ndarray
    """(C, n_sites): pass c sees the occupation of site moved[c, i] at site i."""
    flipped: np.ndarray
    """(C,) whether pass c sees the spins exchanged."""
    columns: np.ndarray
    """(C, n_sites): the outputs of pass c at site columns[c, j] belong to a particle at site j."""
    sources: np.ndarray
    """(C, R, n_sites): the orbitals at site sources[c, r, j] belong to a particle at site j."""
    phases: np.ndarray
    """(C, R, n_sites): gauge factor of that particle."""
    weights: np.ndarray
    """(C, R, D): weight of each determinant; 0 for the padding of shorter passes."""


def projection_plan(
    symmetry: SymmetryElements,
    orbitals: tuple[LatticeOrbitals, ...],
    size: tuple[int, int],
    periodic: tuple[bool, bool],
) -> ProjectionPlan:
    r"""Group elements that differ by a translation, and add up those with proportional determinants.

    With g = h t, t a translation, and m = h^{-1} n, equivariance of the network F gives the column of a
    particle at j as :math:`\varphi_g(i) M_{\mu i} F_{\mu, h^{-1} j}(m)`, i = g^{-1} j: one pass for all t.
    Columns stay in the order of the particles of n, so the determinant has the parity of re-sorting them.
    If two elements of a pass move the orbitals to multiples of one another (plane waves: all of them), one
    determinant with the sum of their weights is left.

    Raises:
        ValueError: Nothing is left: the orbitals have no part in this sector.
    """
    return _plan(symmetry, orbitals, tuple(size), tuple(periodic))


@lru_cache(maxsize=32)
def _plan(symmetry, orbitals, size, periodic):
    permutations, phases = np.asarray(symmetry.permutations), np.asarray(symmetry.phases)
    weights, flips = np.asarray(symmetry.weights), np.asarray(symmetry.spin_flips)
    passes: dict[bytes, _Pass] = {}
    for g in np.flatnonzero(np.abs(weights) > 1e-14 * np.abs(weights).max()):
        head = _head(permutations[g], size, periodic)
        flipped = bool(flips[g])
        found = passes.setdefault(head.tobytes() + bytes([flipped]), _Pass(head, flipped))
        source = np.argsort(permutations[g])
        found.add(orbitals, source, phases[g][source], weights[g])
    least = 1e-12 * np.abs(weights).max()
    left = [(p, [e for e in p.elements if np.abs(e.weights).max() > least]) for p in passes.values()]
    left = [(p, elements) for p, elements in left if elements]
    if not left:
        raise ValueError(
            "the orbitals have no part in this sector: fill momenta whose sum is the momentum of the sector"
        )
    most = max(len(elements) for _, elements in left)
    padded = [elements + elements[:1] * (most - len(elements)) for _, elements in left]
    real = np.arange(most)[None, :] < np.array([len(elements) for _, elements in left])[:, None]
    stacked = np.array([[element.weights for element in elements] for elements in padded])
    return ProjectionPlan(
        moved=np.array([p.head for p, _ in left]),
        flipped=np.array([p.flipped for p, _ in left]),
        columns=np.array([np.argsort(p.head) for p, _ in left]),
        sources=np.array([[element.source for element in elements] for elements in padded]),
        phases=np.array([[element.phases for element in elements] for elements in padded]),
        weights=real_if_real(stacked * real[:, :, None]),
    )


@dataclass
class _Element:
    source: np.ndarray
    phases: np.ndarray
    weights: np.ndarray
    moved: list[np.ndarray]


class _Pass:
    """One pass of the network and the elements that use it."""

    def __init__(self, head, flipped):
        self.head, self.flipped = head, flipped
        self.elements: list[_Element] = []
        self._by_places: dict[bytes, list[_Element]] = {}

    def add(self, orbitals, source, phases, weight):
        moved = [np.asarray(o.envelope)[:, :, source] * phases for o in orbitals]
        key = b"".join(np.asarray(o.places)[source].tobytes() for o in orbitals)
        alike = self._by_places.setdefault(key, [])
        for element in alike:
            factor = _determinant_ratio(orbitals, moved, element.moved)
            if factor is not None:
                element.weights = element.weights + weight * factor
                return
        n_sets = orbitals[0].n_determinants
        alike.append(_Element(source, phases, np.full(n_sets, weight), moved))
        self.elements.append(alike[-1])


def _determinant_ratio(orbitals, moved, reference):
    """Factor (D,) between determinants of orbitals that are multiples of one another, else None."""
    total = np.ones(orbitals[0].n_determinants)
    for o, a, b in zip(orbitals, moved, reference, strict=True):
        ratio = a[..., :1] / b[..., :1]
        if np.abs(a - ratio * b).max(initial=0.0) > 1e-11:
            return None
        # A pair stands for k and -k, whose factors are conjugates.
        single = ratio[:, : o.n_channels - o.n_pairs, 0]
        total = total * np.prod(single, axis=1) * np.prod(np.abs(ratio[:, single.shape[1] :, 0]) ** 2, axis=1)
    return total


def _head(permutation, size, periodic):
    """Return h of g = h t: the same for all g that differ by a translation t."""
    n_basis = permutation.size // (size[0] * size[1])
    sites = np.arange(permutation.size).reshape(*size, n_basis)
    steps = [range(extent) if closed else range(1) for extent, closed in zip(size, periodic, strict=True)]
    images = {
        int(permutation[np.roll(sites, (-a, -b), (0, 1)).flat[0]]): (a, b) for a in steps[0] for b in steps[1]
    }
    a, b = images[min(images)]
    return permutation[np.roll(sites, (-a, -b), (0, 1)).ravel()]

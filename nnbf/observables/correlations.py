r"""Correlations and structure factors of densities and of spins, and the correlation ratio.

With the field f either the density :math:`n_i - N/N_s` (both spins) or
:math:`S^z_i = (n_{i\uparrow} - n_{i\downarrow}) / 2`,

.. math:: C(r) = \frac{1}{|P_r|} \sum_{(i,j) \in P_r} \langle f_i f_j \rangle, \qquad
    S(q) = \frac{1}{N_s} \sum_{ij} e^{i q (r_j - r_i)} \langle f_i f_j \rangle

where P_r are the pairs of sites j - i = r (r = 0 included), or those at one graph distance (Romero, Nys and
Carleo, Commun. Phys. 8, 46 (2025), eqs. 11 and 12). On lattices of one site a cell
:math:`\sum_q S(q) = \sum_i \langle f_i^2 \rangle`; S(0) is 0 for densities, :math:`S_z^2 / N_s` for spins.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hamiltonians.errors import InputError
from hamiltonians.lattice.model import Lattice
from nnbf.estimate import Estimate
from nnbf.observables.observable_registry import observable
from nnbf.observables.weighted_configurations import Configurations

if TYPE_CHECKING:
    from nnbf.observables.measurements import LatticeMeasurement

Quantity = Literal["density", "spin"]


@dataclass(frozen=True, eq=False)
class Correlations:
    """C(r) by displacement, averaged over translations, and by graph distance."""

    quantity: Quantity
    """density or spin."""
    kind: str
    """full_sum or vmc."""
    displacements: np.ndarray
    """(K, 2) cell of j minus cell of i; along a periodic direction in (-L/2, L/2]."""
    sublattices: np.ndarray
    """(K, 2) basis index of i and of j: 0 with one site a cell."""
    n_pairs: np.ndarray
    """(K,) ordered pairs (i, j) averaged over."""
    distances: np.ndarray
    """(K,) graph distance (the smallest, where an open boundary makes several)."""
    values: Estimate
    """(K,) C(r)."""
    by_distance: Estimate
    """(R + 1,) C at graph distance 0, 1, ... R."""

    def record(self) -> dict[str, Any]:
        """As plain numbers and lists."""
        return {
            "quantity": self.quantity,
            "kind": self.kind,
            "displacements": self.displacements.tolist(),
            "sublattices": self.sublattices.tolist(),
            "distances": self.distances.tolist(),
            "values": self.values.value.tolist(),
            "errors": self.values.error.tolist(),
            "by_distance": self.by_distance.value.tolist(),
            "by_distance_errors": self.by_distance.error.tolist(),
        }


@dataclass(frozen=True, eq=False)
class StructureFactor:
    """S(q) on the whole Brillouin zone."""

    quantity: Quantity
    """density or spin."""
    kind: str
    """full_sum or vmc."""
    lattice: str
    """square, triangular or honeycomb."""
    wave_vectors: np.ndarray
    """(L1, L2, 2) Cartesian q = m1 b1 / L1 + m2 b2 / L2 with b the reciprocal vectors, the shortest of the
    equivalent ones (with two sites a cell these differ). A twist does not shift them."""
    values: Estimate
    """(L1, L2) S(q), entry [m1, m2]."""

    def record(self) -> dict[str, Any]:
        """As plain numbers and lists."""
        return {
            "quantity": self.quantity,
            "kind": self.kind,
            "lattice": self.lattice,
            "wave_vectors": self.wave_vectors.tolist(),
            "values": self.values.value.tolist(),
            "errors": self.values.error.tolist(),
        }


@observable("density", on=("lattice",))
def _density(measured: "LatticeMeasurement") -> Correlations:
    return correlations(measured.model, measured.configurations)


@observable("density_structure", on=("lattice",))
def _density_structure(measured: "LatticeMeasurement") -> StructureFactor:
    return structure_factor(measured.model, measured.configurations)


@observable("spin", on=("lattice",))
def _spin(measured: "LatticeMeasurement") -> Correlations | None:
    spinful = measured.model.is_spinful
    return correlations(measured.model, measured.configurations, "spin") if spinful else None


@observable("spin_structure", on=("lattice",))
def _spin_structure(measured: "LatticeMeasurement") -> StructureFactor | None:
    spinful = measured.model.is_spinful
    return structure_factor(measured.model, measured.configurations, "spin") if spinful else None


@observable("correlation_ratio", on=("lattice",))
def _correlation_ratio(measured: "LatticeMeasurement") -> Estimate | None:
    """Ratio of densities at (pi, pi); None where that is not on the lattice."""
    try:
        ratio = correlation_ratio(measured.model, measured.configurations)
    except InputError:
        return None
    return None if np.isnan(ratio.value) else ratio


def site_field(model: Lattice, occupations: np.ndarray, quantity: Quantity) -> np.ndarray:
    """The field f (n, n_sites) of occupations (n, modes); see the module.

    Raises:
        InputError: Spins of a spinless model.
    """
    blocks = occupations.reshape(len(occupations), -1, model.n_sites).astype(float)
    if quantity == "density":
        return blocks.sum(axis=1) - model.n_particles / model.n_sites
    if quantity != "spin":
        raise InputError(f"correlations of {quantity!r}: give density or spin")
    if not model.is_spinful:
        raise InputError("spin correlations of a spinless model: give density")
    return 0.5 * (blocks[:, 0] - blocks[:, 1])


def correlations(
    model: Lattice, configurations: Configurations, quantity: Quantity = "density"
) -> Correlations:
    """C(r) of a state for all displacements of the lattice; see the module.

    Raises:
        InputError: Spins of a spinless model.
    """
    displacements, of_pair = _displacements(model)
    distances = model.graph_distances.ravel()
    smallest = np.full(len(displacements), np.iinfo(np.int64).max)
    np.minimum.at(smallest, of_pair, distances)
    moments = _moments(model, configurations, quantity)
    return Correlations(
        quantity=quantity,
        kind=configurations.kind,
        displacements=displacements[:, 2:],
        sublattices=displacements[:, :2],
        n_pairs=np.bincount(of_pair),
        distances=smallest,
        values=configurations.estimate(_means(moments, of_pair)),
        by_distance=configurations.estimate(_means(moments, distances)),
    )


def structure_factor(
    model: Lattice, configurations: Configurations, quantity: Quantity = "density"
) -> StructureFactor:
    """S(q) of a state for all momenta of the lattice; see the module.

    Raises:
        InputError: Spins of a spinless model.
    """
    values = configurations.estimate(_structure_parts(model, configurations, quantity))
    return StructureFactor(quantity, configurations.kind, model.geometry, zone_wave_vectors(model), values)


def correlation_ratio(
    model: Lattice,
    configurations: Configurations,
    quantity: Quantity = "density",
    momentum: tuple[int, int] | None = None,
) -> Estimate:
    """R = 1 - S(Q + dq) / S(Q): 1 in an ordered state, 0 in a disordered one, for large lattices.

    S(Q + dq) is the mean over the nearest momenta in all directions; curves of different sizes cross at
    the transition (Kaul, Phys. Rev. Lett. 115, 157202 (2015)). Not a number where S(Q) vanishes.

    Args:
        model: The lattice model, periodic.
        configurations: The state.
        quantity: density or spin.
        momentum: Q in units of 2 pi / L; (pi, pi) by default.

    Raises:
        InputError: An open direction, or (pi, pi) is not on the lattice.
    """
    if not all(model.periodic) or model.lattice.n_basis > 1:
        raise InputError("the correlation ratio needs a periodic lattice of one site a cell")
    if momentum is None:
        if any(extent % 2 for extent in model.size):
            raise InputError(f"(pi, pi) is not on the {model.size[0]}x{model.size[1]} lattice: give momentum")
        momentum = (model.size[0] // 2, model.size[1] // 2)
    parts = _structure_parts(model, configurations, quantity)
    first, second = model.size
    m1, m2 = momentum
    around = [(m1 + 1, m2), (m1 - 1, m2), (m1, m2 + 1), (m1, m2 - 1)]
    beside = np.mean([parts[:, a % first, b % second] for a, b in around], axis=0)
    ratio = configurations.ratio(beside, parts[:, m1 % first, m2 % second])
    return replace(ratio, value=1.0 - ratio.value)


def zone_wave_vectors(model: Lattice) -> np.ndarray:
    """(L1, L2, 2) Cartesian momenta m1 b1 / L1 + m2 b2 / L2, the shortest of the equivalent ones."""
    reciprocal = 2 * np.pi * np.linalg.inv(np.array(model.lattice.vectors)).T
    grid = np.stack(np.meshgrid(*map(np.arange, model.size), indexing="ij"), axis=-1) / np.array(model.size)
    # The zone sticks out of the cell: candidates two cells around.
    shifts = np.stack(np.meshgrid(*[np.arange(-2, 2)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    candidates = (grid[..., None, :] + shifts) @ reciprocal
    lengths = np.linalg.norm(candidates, axis=-1)
    # Of equally short ones that with the largest qx + qy: (pi, 0) rather than (-pi, 0).
    best = np.argmin(lengths - 1e-7 * candidates @ np.array([1.0, 0.5]), axis=-1)[..., None, None]
    return np.take_along_axis(candidates, best, axis=-2)[..., 0, :]


def _moments(model, configurations, quantity):
    return configurations.second_moments(site_field(model, configurations.occupations, quantity))


def _structure_parts(model, configurations, quantity):
    """S(q) over each batch, (B, L1, L2)."""
    moments = _moments(model, configurations, quantity)
    waves = zone_wave_vectors(model)
    phases = np.exp(1j * waves.reshape(-1, 2) @ model.positions.T)
    # <f_i f_j> is real and symmetric: so is the sum of e^{iq(r_j - r_i)}.
    parts = np.stack([np.sum(phases.conj() * (phases @ one), axis=1).real for one in moments])
    return parts.reshape(-1, *model.size) / model.n_sites


def _displacements(model):
    """Distinct (b_i, b_j, dx, dy) (K, 4), and which of them each ordered pair (N_s^2,) of sites has."""
    difference = model.cells[None] - model.cells[:, None]
    for direction, (extent, periodic) in enumerate(zip(model.size, model.periodic, strict=True)):
        if periodic:
            part = difference[..., direction] % extent
            difference[..., direction] = np.where(part > extent // 2, part - extent, part)
    size = model.n_sites
    first = np.repeat(model.sublattices, size)
    second = np.tile(model.sublattices, size)
    rows = np.column_stack([first, second, difference.reshape(-1, 2)])
    distinct, of_pair = np.unique(rows, axis=0, return_inverse=True)
    return distinct, of_pair.ravel()


def _means(moments, group):
    """Means (B, K) of the pairs of each group."""
    counts = np.bincount(group)
    sums = np.stack([np.bincount(group, weights=one.ravel()) for one in moments])
    return sums / counts

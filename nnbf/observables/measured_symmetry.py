r"""Symmetry eigenvalues of a lattice state: measured momentum, irrep and spin-flip parity.

With :math:`U_g |n> = f_g(n) |gn>` of `hamiltonians.move_configurations`,

.. math:: \langle \psi | U_g | \psi \rangle
    = \Big\langle f_g(n) \, \big(\psi(gn) / \psi(n)\big)^* \Big\rangle_{|\psi|^2}, \qquad
    w_\Gamma = \frac{d_\Gamma}{|G|} \sum_g \chi_\Gamma(g)^* \langle U_g \rangle

where w is the weight of the state in an irrep. On an eigenstate of U_g the average has no spread.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hamiltonians.lattice.sector import Momentum, move_configurations
from hamiltonians.lattice.space_group import SpaceGroup
from nnbf.estimate import Estimate
from nnbf.observables.observable_registry import observable
from nnbf.observables.weighted_configurations import Configurations, LogPsi

if TYPE_CHECKING:
    from nnbf.observables.measurements import LatticeMeasurement


@dataclass(frozen=True, eq=False)
class MeasuredSymmetry:
    """Symmetry of a state as measured."""

    kind: str
    """full_sum or vmc."""
    momentum: Momentum
    """(mx, my) that the little group is of: the one asked for, or nearest to the measured phases."""
    translations: Estimate
    """(2,) complex <T> of the elementary translations: e^{-ik.a} in a state of momentum k, of modulus below 1
    in a mixture; 1 along an open direction."""
    expected_translations: np.ndarray
    """(2,) e^{-ik.a} of `momentum`."""
    little_group: str
    """Point group that leaves the momentum invariant."""
    operations: tuple[str, ...]
    """Its elements."""
    characters: Estimate
    """(|G|,) complex <U_g> of the elements: the characters, in a state of an irrep of dimension 1."""
    irreps: dict[str, Estimate]
    """Weight of the state in every irrep of the little group; they sum to 1."""
    spin_flip: Estimate | None
    """<spin flip>: (-1)^S; None where N_up and N_down differ, or without spin."""

    @property
    def irrep(self) -> str:
        """The irrep of the largest weight."""
        return max(self.irreps, key=lambda name: float(self.irreps[name].value))

    def record(self) -> dict[str, Any]:
        """As plain numbers and lists, complex ones as [real, imaginary]."""
        return {
            "kind": self.kind,
            "momentum": list(self.momentum),
            "translations": _parts_of(self.translations.value),
            "translation_errors": self.translations.error.tolist(),
            "expected_translations": _parts_of(self.expected_translations),
            "little_group": self.little_group,
            "operations": list(self.operations),
            "characters": _parts_of(self.characters.value),
            "character_errors": self.characters.error.tolist(),
            "irrep": self.irrep,
            "irreps": {
                name: {"value": float(weight.value), "error": float(weight.error)}
                for name, weight in self.irreps.items()
            },
            "spin_flip": None
            if self.spin_flip is None
            else {"value": float(self.spin_flip.value), "error": float(self.spin_flip.error)},
        }


@observable("symmetry", on=("lattice",))
def _symmetry(measured: "LatticeMeasurement") -> MeasuredSymmetry:
    return measured_symmetry(measured.group, measured.configurations, measured.log_psi, measured.momentum)


def measured_symmetry(
    group: SpaceGroup,
    configurations: Configurations,
    log_psi: LogPsi,
    momentum: Any = None,
) -> MeasuredSymmetry:
    """Measure momentum, characters and irreps of a state, with nothing assumed of them.

    Args:
        group: Space group of the model.
        configurations: The state's configurations.
        log_psi: The state.
        momentum: The momentum whose little group is measured; by default the one nearest to the phases of
            the elementary translations.

    Raises:
        InputError: No such momentum.
        FloatingPointError: log psi is not finite.
    """
    model = group.model
    steps = _elementary(group)
    moving = [index for index in steps if index is not None]
    parts = np.ones((len(configurations.shares), 2), dtype=complex)
    periodic = [axis for axis in range(2) if steps[axis] is not None]
    parts[:, periodic] = symmetry_parts(
        configurations, log_psi, group.permutations[moving], group.phases[moving], None
    )
    translations = configurations.estimate(parts)
    if momentum is None:
        momentum = _nearest(group, translations.value)
    sector = group.sector(momentum)
    points = list(group.little_group(sector.momentum))
    # Element (p, 0) of the space group.
    members = [point * len(group.cell_translations) for point in points]
    of_points = symmetry_parts(
        configurations, log_psi, group.permutations[members], group.phases[members], None
    )
    irreps = {}
    for irrep in group.irreps(sector.momentum):
        weights = irrep.dimension / len(points) * irrep.characters.conj()
        irreps[irrep.name] = configurations.estimate((of_points @ weights).real)
    flip = None
    if model.is_spinful and model.particles[0] == model.particles[1]:
        stay, ones = np.arange(model.n_sites)[None], np.ones((1, model.n_sites))
        flip = configurations.estimate(symmetry_parts(configurations, log_psi, stay, ones, [True])[:, 0].real)
    return MeasuredSymmetry(
        kind=configurations.kind,
        momentum=sector.momentum,
        translations=translations,
        expected_translations=_translation_phases(group, sector.momentum),
        little_group=sector.little_group,
        operations=tuple(str(group.point_operations[point]) for point in points),
        characters=configurations.estimate(of_points),
        irreps=irreps,
        spin_flip=flip,
    )


def symmetry_parts(
    configurations: Configurations,
    log_psi: LogPsi,
    permutations: np.ndarray,
    phases: np.ndarray,
    spin_flips: Sequence[bool] | np.ndarray | None = None,
) -> np.ndarray:
    """<psi|U_g|psi> over each batch, (B, k) complex, for elements as those of a `SpaceGroup` or `Sector`.

    Args:
        configurations: The state's configurations.
        log_psi: The state.
        permutations: (k, n_sites), site i goes to permutations[g, i].
        phases: (k, n_sites), factor of a particle on site i.
        spin_flips: (k,), whether an element also exchanges the spins; none by default.

    Raises:
        FloatingPointError: log psi is not finite.
    """
    count = len(permutations)
    flips = np.zeros(count, bool) if spin_flips is None else np.asarray(spin_flips)
    values = np.empty((len(configurations.occupations), count), complex)
    for g in range(count):

        def images_of(occupations, g=g):
            moved, factors = move_configurations(occupations, permutations[g], phases[g], bool(flips[g]))
            return np.arange(len(moved)), moved, factors

        values[:, g] = configurations.off_diagonal(log_psi, images_of, 1)
    return configurations.parts(values)


def _elementary(group):
    """Index of the translation by one cell along each direction, None along open ones."""
    found = []
    for axis in range(2):
        step = np.eye(2, dtype=int)[axis] % np.array(group.extents)
        (index,) = np.flatnonzero(np.all(group.cell_translations == step, axis=1))
        found.append(int(index) if group.model.periodic[axis] else None)
    return found


def _translation_phases(group, momentum):
    phases = np.exp(-1j * np.array(group.model.lattice.vectors) @ group.wave_vector(momentum))
    return np.where(group.model.periodic, phases, 1.0)


def _nearest(group, translations):
    turns = -np.angle(translations) / (2 * np.pi) * np.array(group.extents)
    shift = group.model.n_particles * np.array(group.model.flux)
    first, second = (np.rint(turns - shift).astype(int) % np.array(group.extents)).tolist()
    return first, second


def _parts_of(values):
    return [[float(value.real), float(value.imag)] for value in np.asarray(values, dtype=complex)]

r"""The symmetry group of a lattice model and its named sectors: momentum, little-group irrep, spin flip.

Use `space_group(model)` for the group and its momenta, `.sector((0, 0), "B2")` for one sector,
`all_sectors(model)` for every inequivalent one.

An element g = (p, tau) takes a particle from r to p (r - c) + c + tau, with tau a lattice vector, p a
point-group operation and c the centre. On the covering lattice, where c_{r+L} = e^{i theta} c_r, it moves
creation operators without a phase; brought back into the cluster, site i goes to permutations[g, i] and

.. math:: U_g c^\dagger_i U_g^{-1} = \phi_{g,i} c^\dagger_{g(i)}, \qquad \phi = e^{-i \theta \cdot w}

with w the boundaries it crosses: 1 for periodic, -1 to some power for antiperiodic ones. So defined,
[U_g, H] = 0 and U_g U_h is the U of g after h, but T^L is e^{-i theta N} and not 1: momenta are shifted.

**Momentum.** The state with plane waves k_1 ... k_N filled has momentum k_1 + ... + k_N, and
T_tau psi = e^{-i k tau} psi. One particle has k = 2 pi (m + f) / L with f the twist in units of 2 pi (1/2 for
antiperiodic), so N of them k = 2 pi (m + N f) / L: the integers m = (mx, my), modulo L, label the sector.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from hamiltonians.errors import InputError, whole_number
from hamiltonians.lattice.cluster import phase_factor
from hamiltonians.lattice.model import Lattice
from hamiltonians.lattice.point_group import (
    Irrep,
    PointOperation,
    best_centre,
    broken_symmetry,
    move_sites,
    point_group_irreps,
    point_group_name,
    point_operations,
    subgroup,
)
from hamiltonians.lattice.sector import Momentum, Sector, traces_by_number

_PARITIES = {"even": 1, "odd": -1}


@dataclass(frozen=True, eq=False)
class SpaceGroup:
    """The translations of a cluster and the point group that its shape and boundary leave."""

    model: Lattice
    """The lattice it is the group of."""
    point_operations: tuple[PointOperation, ...]
    """The point group, identity first."""
    cell_translations: np.ndarray
    """(n_translations, 2) int translations in lattice vectors, (0, 0) first."""
    permutations: np.ndarray
    """(G, n_sites) int; element (p, tau) is at p * n_translations + tau."""
    phases: np.ndarray
    """(G, n_sites), see the module."""

    @property
    def name(self) -> str:
        """Point group by its Schoenflies name."""
        return point_group_name(self.point_operations)

    @property
    def extents(self) -> tuple[int, int]:
        """Number of momenta of each direction: L, or 1 where it is open."""
        periodic = self.model.periodic
        first, second = (L if p else 1 for L, p in zip(self.model.size, periodic, strict=True))
        return first, second

    @property
    def translations(self) -> np.ndarray:
        """(G, 2) translation of every element."""
        return np.tile(self.cell_translations, (len(self.point_operations), 1))

    # ---- momenta -----------------------------------------------------------------------------------

    def momenta(self, inequivalent: bool = False) -> tuple[Momentum, ...]:
        """Return all momenta, or one of each star."""
        first, second = self.extents
        every = tuple((mx, my) for mx in range(first) for my in range(second))
        return tuple(m for m in every if m == self.star(m)[0]) if inequivalent else every

    def star(self, momentum: Any) -> tuple[Momentum, ...]:
        """Return the momenta that the point group makes of one, the representative first."""
        momentum = self._momentum(momentum)
        images = {self._image(operation, momentum) for operation in self.point_operations}
        return tuple(sorted(images, key=lambda m: (sum(m), -m[0])))

    def wave_vector(self, momentum: Any) -> tuple[float, float]:
        """Return 2 pi (m + N f) / L in Cartesian coordinates, with each m + N f in (-L/2, L/2]."""
        turns = self._turns(self._momentum(momentum))
        turns = turns - np.ceil(turns - 0.5 - 1e-12)
        x, y = np.linalg.solve(np.array(self.model.lattice.vectors), 2 * np.pi * turns).tolist()
        return x, y

    def little_group(self, momentum: Any) -> tuple[int, ...]:
        """Return the indices of the point operations that leave a momentum invariant."""
        momentum = self._momentum(momentum)
        images = [self._image(operation, momentum) for operation in self.point_operations]
        return tuple(index for index, image in enumerate(images) if image == momentum)

    def little_group_name(self, momentum: Any) -> str:
        """Return the Schoenflies name of the little group."""
        return point_group_name(self._little_operations(momentum))

    def irreps(self, momentum: Any) -> tuple[Irrep, ...]:
        """Return the irreps of the little group of a momentum, labelled alike over its star."""
        operations = self._little_operations(momentum)
        return point_group_irreps(operations, self._reference_mirror(self._momentum(momentum)))

    # ---- sectors -----------------------------------------------------------------------------------

    def sector(
        self,
        momentum: Any = (0, 0),
        irrep: str | None = None,
        *,
        row: int | None = None,
        spin_flip: int | str | None = None,
    ) -> Sector:
        """Return one sector.

        Args:
            momentum: (mx, my) in units of 2 pi / L, also "1,0"; see the module for twists.
            irrep: Irrep of the little group; None for all states of the momentum.
            row: Row of the irrep, from 0, to project on.
            spin_flip: +1 or "even", -1 or "odd" (Hubbard with N_up = N_down).

        Raises:
            InputError: No such momentum, irrep (the message lists those there are), row or spin flip.
        """
        m = self._momentum(momentum)
        indices = np.array(self.little_group(m) if irrep is not None else (0,))
        point_part = self._irrep(m, irrep).matrices if irrep is not None else np.ones((1, 1, 1))
        dimension = point_part.shape[1]
        if row is not None and not 0 <= (row := whole_number(row, "row")) < dimension:
            raise InputError(f"row {row} of {irrep or 'a momentum alone'}: give 0 to {dimension - 1}")
        translation = phase_factor(-(self.cell_translations @ self._turns(m)))
        # (point, translation, d, d), the point part slowest as in `permutations`.
        matrices = point_part[:, None] * translation[None, :, None, None]
        matrices = matrices.reshape(-1, dimension, dimension)
        count = len(self.cell_translations)
        members = (indices[:, None] * count + np.arange(count)).ravel()
        traces = self._traces[members]
        flips = np.zeros(len(members), dtype=bool)
        parity = self._spin_flip(spin_flip)
        if parity is not None:
            traces = np.concatenate([traces, self._flip_traces[members]])
            matrices = np.concatenate([matrices, parity * matrices])
            members, flips = np.tile(members, 2), np.repeat([False, True], len(members))
        characters = np.trace(matrices, axis1=1, axis2=2)
        return Sector(
            momentum=m,
            wave_vector=self.wave_vector(m),
            little_group=self.little_group_name(m),
            irrep=None if irrep is None else self._irrep(m, irrep).name,
            row=row,
            spin_flip=parity,
            star=self.star(m),
            n_states=round(float(np.vdot(characters, traces).real) / len(members)),
            particles=self.model.particles,
            permutations=self.permutations[members],
            phases=self.phases[members],
            spin_flips=flips,
            representation=matrices,
        )

    # ---- details -----------------------------------------------------------------------------------

    def _momentum(self, value: Any) -> Momentum:
        parts = value.split(",") if isinstance(value, str) else value
        try:
            mx, my = (int(p) if isinstance(p, str) else whole_number(p, "momentum") for p in parts)
        except (TypeError, ValueError):
            shift = " (the shift by a twist is understood)" if any(self.model.flux) else ""
            raise InputError(
                f"momentum {value!r}: give two whole numbers in units of 2 pi / L{shift}, such as 1,0"
            ) from None
        for m, extent, periodic, axis in zip((mx, my), self.extents, self.model.periodic, "xy", strict=True):
            if not -extent < m < extent:
                what = f"0 to {extent - 1}" if periodic else "0, the direction is open"
                raise InputError(f"momentum ({mx},{my}) is not on the lattice: give m{axis} = {what}")
        return mx % self.extents[0], my % self.extents[1]

    def _little_operations(self, momentum: Any) -> list[PointOperation]:
        return [self.point_operations[i] for i in self.little_group(momentum)]

    def _turns(self, momentum: Momentum) -> np.ndarray:
        """Return k . a_i / (2 pi), 0 along open directions."""
        shift = self.model.n_particles * np.array(self.model.flux)
        return (np.array(momentum) + shift) / np.array(self.extents) * np.array(self.model.periodic)

    def _image(self, operation: PointOperation, momentum: Momentum) -> Momentum:
        # p takes k to p k with (p k) . r = k . (p^-1 r).
        inverse = np.rint(np.linalg.inv(np.array(operation.matrix)))
        turns = inverse.T @ self._turns(momentum)
        shift = self.model.n_particles * np.array(self.model.flux)
        mx, my = np.rint(turns * self.extents - shift).astype(int).tolist()
        first, second = self.model.periodic
        return (mx % self.extents[0] if first else 0), (my % self.extents[1] if second else 0)

    def _reference_mirror(self, momentum: Momentum) -> int:
        """Angle of the mirror line under which B1 is even, moved along with the star."""
        first = self.star(momentum)[0]
        mirrors = [g for g in self._little_operations(first) if g.is_mirror]
        if not mirrors:
            return 0
        lattice = self.model.lattice
        between = 360 // sum(not g.is_mirror for g in point_operations(lattice))
        angle = min((g.angle for g in mirrors), key=lambda a: ((a - lattice.mirror_angle) % between != 0, a))
        mover = next(g for g in self.point_operations if self._image(g, first) == momentum)
        return mover.turn_line(angle)

    def _irrep(self, momentum: Momentum, name: str) -> Irrep:
        irreps = self.irreps(momentum)
        for irrep in irreps:
            if isinstance(name, str) and irrep.name.casefold() == name.strip().casefold():
                return irrep
        reason = broken_symmetry(self.model)
        raise InputError(
            f"irrep {name!r}: the little group {self.little_group_name(momentum)} of momentum "
            f"({momentum[0]},{momentum[1]}) has {', '.join(irrep.name for irrep in irreps)}"
            + (f" ({reason})" if reason else "")
        )

    def _spin_flip(self, value: int | str | None) -> int | None:
        if value is None:
            return None
        parity = _PARITIES.get(value.strip().casefold()) if isinstance(value, str) else value
        if parity not in (1, -1):
            raise InputError(f"spin flip {value!r}: give even (singlets) or odd (triplets)")
        if not self.model.is_spinful:
            raise InputError("spin flip of a spinless model: leave it out")
        if len(set(self.model.particles)) != 1:
            raise InputError(
                f"spin flip needs as many up as down, not {self.model.particles[0]}+"
                f"{self.model.particles[1]}: leave it out"
            )
        return int(parity)

    @cached_property
    def _traces(self) -> np.ndarray:
        """(G,) traces of U_g over all configurations."""
        particles = list(self.model.particles)
        elements = zip(self.permutations, self.phases, strict=True)
        traces = [traces_by_number(*element, max(particles)) for element in elements]
        return np.array([np.prod(by_number[particles]) for by_number in traces])

    @cached_property
    def _flip_traces(self) -> np.ndarray:
        """(G,) traces of U_g times spin flip: those of U_g^2 over one spin."""
        number = self.model.particles[0]
        return np.array(
            [
                traces_by_number(permutation[permutation], phases * phases[permutation], number)[number]
                for permutation, phases in zip(self.permutations, self.phases, strict=True)
            ]
        )


def space_group(model: Lattice, point_group: str | None = None) -> SpaceGroup:
    """Return the symmetry group of a lattice model.

    Args:
        model: The model.
        point_group: Point group to use, such as "C2v", or "C1" for translations alone; by default the
            largest that the shape of the cluster and its boundary leave.

    Raises:
        InputError: The cluster or its boundary breaks the point group asked for; the message says why.
    """
    centre, operations = best_centre(model)
    if point_group is not None:
        operations = subgroup(model, operations, point_group)
    extents = [L if p else 1 for L, p in zip(model.size, model.periodic, strict=True)]
    translations = np.stack(np.meshgrid(*map(np.arange, extents), indexing="ij"), axis=-1).reshape(-1, 2)
    moved = [move_sites(model, operation, centre) for operation in operations]
    size = np.array(model.size)
    permutations, windings = [], []
    for cells, basis in moved:
        shifted = cells[None] + translations[:, None]
        winding = np.floor_divide(shifted, size)
        inside = shifted - winding * size
        permutations.append((inside[..., 0] * size[1] + inside[..., 1]) * model.lattice.n_basis + basis)
        windings.append(winding)
    phases = phase_factor(-(np.concatenate(windings) @ np.array(model.flux)))
    return SpaceGroup(model, tuple(operations), translations, np.concatenate(permutations), phases)


def all_sectors(model: Lattice, irreps: bool = True, spin_flip: bool = False) -> tuple[Sector, ...]:
    """Return every inequivalent sector that has states: their degeneracies times sizes fill the space.

    Args:
        model: The model.
        irreps: Whether to resolve the irreps of the little groups; else momenta alone, all of them.
        spin_flip: Whether to resolve even and odd total spin (Hubbard with N_up = N_down).
    """
    group = space_group(model)
    sectors = []
    for momentum in group.momenta(inequivalent=True):
        names = [irrep.name for irrep in group.irreps(momentum)] if irreps else [None]
        for name, parity in product(names, (1, -1) if spin_flip else (None,)):
            sectors.append(group.sector(momentum, name, spin_flip=parity))
    return tuple(sector for sector in sectors if sector.n_states)

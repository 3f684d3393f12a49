"""Lattice models: spinless t-V and Hubbard, as a frozen data class with its graph and matrices.

Use it to say what is solved; `lattice_operators` turns a model into operators of other packages,
`space_group` finds its symmetry sectors, `exact_lattice` diagonalises it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from math import comb
from numbers import Real
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hamiltonians.errors import InputError, nearest_names, whole_number
from hamiltonians.lattice.cluster import (
    GEOMETRIES,
    GRID,
    Bonds,
    LatticeGeometry,
    build_bonds,
    cell_table,
)
from hamiltonians.problem import register_problem, save_problem

if TYPE_CHECKING:
    from hamiltonians.lattice.sector import Sector

_BOUNDARIES = {
    "pbc": "pbc",
    "p": "pbc",
    "periodic": "pbc",
    "apbc": "apbc",
    "a": "apbc",
    "antiperiodic": "apbc",
    "open": "open",
    "o": "open",
    "obc": "open",
}
_MOST_CELLS = 4096  # tables of all pairs of sites are kept
_FLUX = {"pbc": 0.0, "apbc": 0.5, "open": 0.0}


@register_problem("lattice")
@dataclass(frozen=True)
class Lattice:
    r"""Interacting fermions on a lattice, at fixed particle number.

    .. math::

        H = -t \sum_{\langle ij \rangle \sigma} (c^\dagger_{i\sigma} c_{j\sigma} + h.c.)
            -t' \sum_{\langle\langle ij \rangle\rangle \sigma} (c^\dagger_{i\sigma} c_{j\sigma} + h.c.)
            + V \sum_{\langle ij \rangle} n_i n_j + U \sum_i n_{i\uparrow} n_{i\downarrow}

    with n_i the density of both spins; the spinless `tv` has no sigma and no U. Sums run over the bonds of
    the infinite lattice folded onto the cluster: on a periodic direction of length 2 two sites share two
    bonds, and both count (hopping -2t, or 0 for antiperiodic; repulsion 2V). A direction of length 1 is open;
    next-nearest neighbours of such a chain are two sites apart.
    A twist theta means c_{r+L} = e^{i theta} c_r: an electron going once around meets the phase theta.

    Raises:
        InputError: A value cannot be used; the message says what to give instead.
    """

    format: ClassVar[str]
    """Tag in files."""
    unit: ClassVar[str] = "t"
    """Unit of energies."""

    kind: str
    """`tv` (spinless) or `hubbard`."""
    size: tuple[int, int]
    """Unit cells along a1 and a2; also "4x4"."""
    particles: tuple[int, ...]
    """(N,) for `tv`, (N_up, N_down) for `hubbard`; also 5 or "5,5". A single even or odd number of electrons
    is split evenly, the odd one up."""
    t: float = 1.0
    """Nearest-neighbour hopping, the unit of energy."""
    t_prime: float = 0.0
    """Next-nearest-neighbour hopping t', same sign convention as t."""
    U: float = 0.0
    """On-site repulsion (`hubbard`)."""
    V: float = 0.0
    """Nearest-neighbour repulsion."""
    geometry: str = "square"
    """`square`, `triangular` or `honeycomb` (two sites a cell)."""
    boundary: tuple[str | float, str | float] = ("pbc", "pbc")
    """For each direction `pbc`, `apbc`, `open`, or a twist angle in units of 2 pi (0.5 is `apbc`);
    also one for both, or "pbc,apbc"."""

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "kind", _choice(self.kind, ("tv", "hubbard"), "model"))
        set_(self, "geometry", _choice(self.geometry, tuple(GEOMETRIES), "geometry"))
        set_(self, "size", _size(self.size))
        set_(self, "boundary", _boundary(self.boundary, self.size))
        for name in ("t", "t_prime", "U", "V"):
            set_(self, name, _finite(getattr(self, name), name))
        if self.kind == "tv" and self.U != 0.0:
            raise InputError(f"U = {self.U:g} in a t-V model: spinless fermions never share a site, give V")
        set_(self, "particles", _particles(self.particles, self.kind, self.n_sites))
        for value, name, shell in ((self.t_prime, "t'", 2), (self.V, "V", 1)):
            if value and shell not in self.bonds.shells and (shell == 2 or self.is_spinful):
                raise InputError(
                    f"{name} = {value:g} joins no sites of a lattice of {self.size[0]}x{self.size[1]} cells "
                    "with these boundaries: leave it out"
                )

    # ---- counting ----------------------------------------------------------------------------------

    @property
    def lattice(self) -> LatticeGeometry:
        """Unit cell, bond patterns and point group of the infinite lattice."""
        return GEOMETRIES[self.geometry]

    @property
    def n_cells(self) -> int:
        """Unit cells."""
        return self.size[0] * self.size[1]

    @property
    def n_sites(self) -> int:
        """Sites."""
        return self.n_cells * self.lattice.n_basis

    @property
    def is_spinful(self) -> bool:
        """True where sites hold two spins."""
        return self.kind == "hubbard"

    @property
    def n_modes(self) -> int:
        """Fermionic modes: sites, or twice the sites (all up, then all down)."""
        return self.n_sites * (2 if self.is_spinful else 1)

    @property
    def n_particles(self) -> int:
        """Particles of both spins."""
        return sum(self.particles)

    @property
    def n_configurations(self) -> int:
        """Dimension of the Hilbert space at these particle numbers."""
        count = 1
        for number in self.particles:
            count *= comb(self.n_sites, number)
        return count

    @property
    def infinite_temperature_energy(self) -> float:
        """Mean of the diagonal of H over all configurations: where the V-score measures energies from."""
        size = self.n_sites
        bonds = float(np.triu(self.repulsion).sum())
        energy = float(np.trace(self.hopping).real) / size * self.n_particles
        for number in self.particles:
            energy += bonds * number * (number - 1) / (size * (size - 1)) if size > 1 else 0.0
        if self.is_spinful:
            up, down = self.particles
            energy += up * down * (2.0 * bonds / size**2 + self.U / size)
        return energy

    @property
    def must_be_singlet(self) -> bool:
        """True where Lieb's theorem makes the ground state a singlet: Phys. Rev. Lett. 62, 1201 (1989).

        A connected bipartite lattice with real hopping between its halves alone, as many sites in one as in
        the other, half filled, U > 0 and no further repulsion.
        """
        return self.is_half_filled_bipartite and self.V == 0 and not np.iscomplexobj(self.hopping)

    @property
    def is_half_filled_bipartite(self) -> bool:
        """True where U > 0 and as many electrons of each spin as half of the sites hop between two halves."""
        if not (self.is_spinful and self.U > 0 and set(self.particles) == {self.n_sites / 2}):
            return False
        colours = self.two_colouring
        return colours is not None and 2 * int(colours.sum()) == self.n_sites

    @property
    def total_spins(self) -> tuple[float, float]:
        """Smallest and largest total spin of electrons; those between differ by whole numbers."""
        return spin_range(self.particles, self.n_sites)

    # ---- boundary ----------------------------------------------------------------------------------

    @property
    def periodic(self) -> tuple[bool, bool]:
        """For each direction True where it closes on itself, with or without a twist."""
        first, second = self.boundary
        return first != "open", second != "open"

    @property
    def flux(self) -> tuple[float, float]:
        """Twist of each direction in units of 2 pi: 0 periodic or open, 0.5 antiperiodic."""
        first, second = (_FLUX[b] if isinstance(b, str) else b for b in self.boundary)
        return first, second

    # ---- graph -------------------------------------------------------------------------------------

    @cached_property
    def cells(self) -> np.ndarray:
        """(n_sites, 2) unit cell of every site."""
        return cell_table(self.size, self.lattice.n_basis)[0]

    @cached_property
    def sublattices(self) -> np.ndarray:
        """(n_sites,) basis index of every site: all 0 with one site a cell."""
        return cell_table(self.size, self.lattice.n_basis)[1]

    @cached_property
    def positions(self) -> np.ndarray:
        """(n_sites, 2) Cartesian positions, nearest neighbours at distance 1."""
        coordinates = self.cells + np.array(self.lattice.basis)[self.sublattices] / GRID
        return coordinates @ np.array(self.lattice.vectors)

    @cached_property
    def bonds(self) -> Bonds:
        """All bonds of shells 1 (t, V) and 2 (t'), whatever the values of t, V and t'."""
        return build_bonds(self.lattice, self.size, self.periodic, self.flux)

    @cached_property
    def hopping(self) -> np.ndarray:
        """(n_sites, n_sites) Hermitian h of sum_ij h_ij c+_i c_j; real unless a twist makes it complex."""
        bonds = self.bonds
        values = np.where(bonds.shells == 1, -self.t, -self.t_prime) * bonds.phases
        matrix = np.zeros((self.n_sites, self.n_sites), dtype=values.dtype)
        first, second = bonds.sites.T
        np.add.at(matrix, (first, second), values)
        np.add.at(matrix, (second, first), values.conj())
        return matrix

    @cached_property
    def repulsion(self) -> np.ndarray:
        """(n_sites, n_sites) symmetric W of sum_{i<j} W_ij n_i n_j: V times the number of bonds."""
        matrix = np.zeros((self.n_sites, self.n_sites))
        first, second = self.bonds.sites[self.bonds.shells == 1].T
        np.add.at(matrix, (first, second), self.V)
        return matrix + matrix.T

    @cached_property
    def graph_distances(self) -> np.ndarray:
        """(n_sites, n_sites) number of nearest-neighbour bonds on the shortest way between two sites."""
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import shortest_path

        first, second = self.bonds.sites[self.bonds.shells == 1].T
        adjacency = coo_matrix((np.ones(first.size), (first, second)), shape=(self.n_sites,) * 2)
        return shortest_path(adjacency.tocsr(), directed=False, unweighted=True).astype(np.int64)

    @cached_property
    def two_colouring(self) -> np.ndarray | None:
        """(n_sites,) 0 or 1, so that electrons hop from one colour to the other; None where there is none.

        None also where hops do not connect all sites: the colours are not unique then.
        """
        from scipy.sparse.csgraph import shortest_path

        hops = shortest_path(np.abs(self.hopping) > 0, directed=False, unweighted=True, indices=0)
        if not np.all(np.isfinite(hops)):
            return None
        colours = hops.astype(np.int64) % 2
        within = (self.hopping != 0) & (colours[:, None] == colours[None, :])
        return None if within.any() else colours

    @cached_property
    def distance_shells(self) -> np.ndarray:
        """(n_sites, n_sites) ranks of the distances of sites on the torus: 0 a site itself, 1 neighbours.

        Along periodic directions, twisted ones too, the nearest image counts.
        """
        steps = [(-1, 0, 1) if periodic else (0,) for periodic in self.periodic]
        extents = np.array(self.lattice.vectors) * np.array(self.size)[:, None]
        separations = self.positions[:, None] - self.positions[None]
        images = [separations + a * extents[0] + b * extents[1] for a in steps[0] for b in steps[1]]
        squares = np.min(np.sum(np.square(images), axis=-1), axis=0)
        return np.unique(np.round(squares, 6), return_inverse=True)[1].reshape(squares.shape)

    # ---- text --------------------------------------------------------------------------------------

    def __str__(self) -> str:
        title = "t-V" if self.kind == "tv" else "Hubbard"
        boundary = " x ".join(b if isinstance(b, str) else f"twist {b:g}" for b in self.boundary)
        couplings = [f"t={self.t:g}"] if self.t != 1.0 else []
        for name, value in (("t'", self.t_prime), ("U", self.U), ("V", self.V)):
            if value != 0.0:
                couplings.append(f"{name}={value:g}")
        return ", ".join(
            [
                f"{title} {self.size[0]}x{self.size[1]} {self.geometry}",
                boundary,
                "N=" + "+".join(str(number) for number in self.particles),
                *couplings,
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` is the inverse."""
        values = asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Lattice":
        """Return the model of `to_dict`.

        Raises:
            InputError: A key is unknown or missing, or a value cannot be used.
        """
        names = [field.name for field in fields(cls)]
        for key in values:
            if key not in names:
                hint = nearest_names(str(key), names, count=1)
                guess = f": {hint[0]}?" if hint else ""
                raise InputError(f"unknown key {key!r} of a lattice model{guess}")
        missing = [name for name in ("kind", "size", "particles") if name not in values]
        if missing:
            raise InputError(f"a lattice model without {missing[0]!r}: give kind, size and particles")
        return cls(**values)

    # ---- as a problem ------------------------------------------------------------------------------

    @property
    def title(self) -> str:
        """Model, size, particles and couplings."""
        return str(self)

    @property
    def references(self) -> Mapping[str, float | None]:
        """Energies of other methods: none come with a lattice."""
        return MappingProxyType({})

    def sectors(
        self,
        momenta: Sequence[Any] = (),
        irreps: Sequence[str] | None = (),
        spin_flips: Sequence[int | None] = (None,),
    ) -> "tuple[Sector, ...]":
        """Return the symmetry sectors that have states; see `chosen_sectors`."""
        from hamiltonians.lattice.lattice_spec import chosen_sectors

        return chosen_sectors(self, momenta, irreps, spin_flips)

    def save(self, path: str | Path) -> Path:
        """Write the model to an .npz or .h5 file, atomically; `load_problem` reads it.

        Raises:
            InputError: The suffix is neither .npz nor .h5, or the folder cannot be written.
        """
        return save_problem(self, path)

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return the values as a header, and no arrays."""
        return {"model": self.to_dict()}, {}

    @classmethod
    def from_arrays(cls, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "Lattice":
        """Return the model of `to_arrays`."""
        return cls.from_dict(header["model"])


def spin_range(particles: tuple[int, ...], n_sites: int) -> tuple[float, float]:
    """Smallest and largest total spin of particles (up, down) on sites that hold one of each spin."""
    total = sum(particles)
    return abs(particles[0] - particles[-1]) / 2, min(total, 2 * n_sites - total) / 2


def _choice(value: object, known: tuple[str, ...], what: str) -> str:
    if isinstance(value, str) and value.casefold() in known:
        return value.casefold()
    raise InputError(f"{what} {value!r}: give {' or '.join(known)}")


def _size(value: Any) -> tuple[int, int]:
    parts = value.casefold().split("x") if isinstance(value, str) else value
    try:
        first, second = (int(p) if isinstance(p, str) else whole_number(p, "size") for p in parts)
    except (TypeError, ValueError):
        raise InputError(f"size {value!r}: give two whole numbers, such as 4x4") from None
    if min(first, second) < 1:
        raise InputError(f"size {first}x{second}: give at least 1 in each direction")
    if first * second > _MOST_CELLS:
        raise InputError(f"size {first}x{second}: give at most {_MOST_CELLS:,} unit cells")
    return first, second


def _boundary(value: Any, size: tuple[int, int]) -> tuple[str | float, str | float]:
    parts = value.split(",") if isinstance(value, str) else value
    if isinstance(parts, Real):
        parts = (parts,)
    try:
        parts = tuple(parts)
    except TypeError:
        raise InputError(f"boundary {value!r}: give pbc, apbc, open or a twist, such as pbc,apbc") from None
    if len(parts) == 1:
        parts = parts * 2
    if len(parts) != 2:
        raise InputError(f"boundary {value!r}: give one for each of the two directions, such as pbc,apbc")
    first, second = (_one_boundary(part, extent) for part, extent in zip(parts, size, strict=True))
    return first, second


def _one_boundary(part: Any, extent: int) -> str | float:
    name = part.strip().casefold() if isinstance(part, str) else part
    if name in _BOUNDARIES:
        boundary: str | float = _BOUNDARIES[name]
    else:
        try:
            twist = float(name)
        except (TypeError, ValueError):
            twist = float("nan")
        if isinstance(part, bool) or not np.isfinite(twist):
            raise InputError(f"boundary {part!r}: give pbc, apbc, open, or a twist angle in units of 2 pi")
        # Into (-1/2, 1/2]: a small negative twist stays one.
        twist -= float(np.ceil(twist - 0.5))
        boundary = {0.0: "pbc", 0.5: "apbc"}.get(twist, twist)
    if extent == 1:
        if boundary not in ("pbc", "open"):
            raise InputError(f"boundary {part!r} along a direction of length 1: give open")
        return "open"
    return boundary


def _particles(value: Any, kind: str, n_sites: int) -> tuple[int, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if isinstance(parts, Real):
        parts = (parts,)
    try:
        numbers = tuple(int(p) if isinstance(p, str) else whole_number(p, "particles") for p in parts)
    except (TypeError, ValueError):
        raise InputError(f"particles {value!r}: give whole numbers, N for t-V or N_up,N_down") from None
    if kind == "hubbard" and len(numbers) == 1:
        numbers = (numbers[0] - numbers[0] // 2, numbers[0] // 2)
    expected = 2 if kind == "hubbard" else 1
    if len(numbers) != expected:
        raise InputError(f"particles {value!r}: give {'N_up,N_down' if expected == 2 else 'one number'}")
    for number in numbers:
        if not 0 <= number <= n_sites:
            what = f"{number} particles of one spin" if expected == 2 else f"{number} particles"
            raise InputError(f"{what} on {n_sites} sites: give 0 to {n_sites}")
    return numbers


def _finite(value: Any, name: str) -> float:
    if isinstance(value, Real) and not isinstance(value, bool) and np.isfinite(float(value)):
        return float(value)
    raise InputError(f"{name} = {value!r}: give a finite number")

"""Which lattice model, and which of its levels, as plain data: the options of the command line."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from hamiltonians.errors import InputError
from nnbf._options import Checked

if TYPE_CHECKING:
    from hamiltonians import LatticeModel, Sector, SpaceGroup


@dataclass(frozen=True)
class LatticeProblem:
    """A lattice model at a filling. Energies are in units of t."""

    model: str
    """tv (spinless fermions with neighbour repulsion) or hubbard (electrons with on-site repulsion)."""
    size: str = "4x4"
    """Unit cells along both directions, such as 4x4."""
    particles: str = ""
    """Number of particles: N for tv, N_up,N_down (or their sum) for hubbard."""
    interaction: float = 1.0
    """V of tv, U of hubbard."""
    neighbour_repulsion: float = 0.0
    """V between neighbours beside U, in the extended Hubbard model."""
    hopping: float = 1.0
    """t, between nearest neighbours."""
    next_hopping: float = 0.0
    """t', between next-nearest neighbours."""
    geometry: Literal["square", "triangular", "honeycomb"] = "square"
    """Lattice."""
    boundary: str = "pbc"
    """pbc, apbc, open, or a twist in units of 2 pi; for each direction as "pbc,apbc"."""

    def build(self) -> "LatticeModel":
        """Return the model.

        Raises:
            InputError: A value makes no sense.
        """
        from hamiltonians import LatticeModel

        kind = self.model.strip().casefold()
        if kind not in ("tv", "hubbard"):
            raise InputError(f"model {self.model!r}: give tv or hubbard")
        if not self.particles:
            raise InputError("how many particles? give --particles, such as --particles 5")
        is_tv = kind == "tv"
        if is_tv and self.neighbour_repulsion:
            raise InputError("the neighbour repulsion of tv is --interaction")
        return LatticeModel(
            kind,
            self.size,  # type: ignore[arg-type]
            self.particles,  # type: ignore[arg-type]
            t=self.hopping,
            t_prime=self.next_hopping,
            U=0.0 if is_tv else self.interaction,
            V=self.interaction if is_tv else self.neighbour_repulsion,
            geometry=self.geometry,
            boundary=self.boundary,  # type: ignore[arg-type]
        )


@dataclass(frozen=True)
class SectorChoice(Checked):
    """Which symmetry sectors."""

    momenta: str = ""
    """Momenta in units of 2 pi / L, such as "0,0 1,0"; G, X and M by name, "path" for all along G-X-M-G of
    the square lattice; left out: one of each star."""
    irreps: str = ""
    """Irreps of the little groups, such as "A1 B2", or "none": momenta alone; left out: all irreps."""
    spin: Literal["any", "even", "odd", "both"] = "any"
    """Parity under spin flip (hubbard with N_up = N_down): even or odd total spin, both, or not resolved."""
    levels: Annotated[int, Ge(1)] = 1
    """Levels of each sector, from the lowest."""

    def sectors(self, model: "LatticeModel") -> "list[Sector]":
        """Return the sectors that have states; of irreps of dimension above 1 the first row.

        Raises:
            InputError: No such momentum or irrep, or no sector is left.
        """
        from hamiltonians import space_group

        group = space_group(model)
        words = named_momenta(model, self.momenta.split())
        momenta = [group.sector(word).momentum for word in words] or group.momenta(inequivalent=True)
        parities = {"any": (None,), "both": (1, -1), "even": (1,), "odd": (-1,)}[self.spin]
        found = []
        for momentum in momenta:
            for irrep in self._irreps(group, momentum):
                for parity in parities:
                    sector = group.sector(momentum, irrep, spin_flip=parity)
                    if sector.dimension > 1:
                        sector = group.sector(momentum, irrep, row=0, spin_flip=parity)
                    if sector.n_states:
                        found.append(sector)
        if not found:
            raise InputError("the sectors asked for have no states at this filling")
        return found

    def _irreps(self, group: "SpaceGroup", momentum: tuple[int, int]) -> list[str | None]:
        if self.irreps.strip().casefold() == "none":
            return [None]
        there = [irrep.name for irrep in group.irreps(momentum)]
        wanted = self.irreps.split()
        if not wanted:
            return [*there]
        known = {irrep.name.casefold() for m in group.momenta(inequivalent=True) for irrep in group.irreps(m)}
        for name in wanted:
            if name.casefold() not in known:
                # Refused with the list of those that there are.
                group.sector(momentum, name)
        chosen = [name for name in there if name.casefold() in {w.casefold() for w in wanted}]
        if not chosen and self.momenta:
            group.sector(momentum, wanted[0])
        return [*chosen]


@dataclass(frozen=True)
class OneSector:
    """One symmetry sector."""

    momentum: str = ""
    """Momentum in units of 2 pi / L, such as "0,0", or G, X, M; left out: that of the lowest filling of free
    particles."""
    irrep: str = ""
    """Irrep of its little group, such as B2; left out: not resolved, but measured of the result."""
    spin: Literal["any", "even", "odd"] = "any"
    """Parity under spin flip (hubbard with N_up = N_down): even or odd total spin."""

    def choice(self, model: "LatticeModel") -> SectorChoice:
        """Return the choice of this sector.

        Raises:
            InputError: No such momentum or irrep.
        """
        from hamiltonians import space_group

        group = space_group(model)
        if self.momentum:
            words = named_momenta(model, self.momentum.split())
            if len(words) != 1:
                raise InputError(
                    f"momentum {self.momentum!r}: give one, such as 0,0; 'nnbf spectrum' takes several"
                )
            momentum = group.sector(words[0]).momentum
        else:
            momentum = free_momentum(model)
        if len(self.irrep.split()) > 1:
            raise InputError(f"irrep {self.irrep!r}: give one; 'nnbf spectrum' takes several")
        return SectorChoice(
            momenta=f"{momentum[0]},{momentum[1]}", irreps=self.irrep or "none", spin=self.spin
        )


def free_momentum(model: "LatticeModel") -> tuple[int, int]:
    """Return the total momentum of the lowest filling of free particles; (0, 0) with an open boundary."""
    from nnbf.ansatz.orbitals import lowest_momentum

    return lowest_momentum(model)


def named_momenta(model: "LatticeModel", words: list[str]) -> list[str]:
    """Return momenta with G, X, M and "path" written out as whole numbers.

    Raises:
        InputError: A name that the lattice does not have.
    """
    (first, second), found = model.size, []
    for word in words:
        name = word.casefold()
        if name not in ("g", "x", "m", "path"):
            found.append(word)
            continue
        if name != "g" and (model.geometry != "square" or first % 2 or second % 2 or any(model.flux)):
            raise InputError(
                f"momentum {word!r}: X and M are points of an untwisted square lattice of even sides; "
                "give whole numbers such as 1,0"
            )
        if name == "path" and first != second:
            raise InputError("the path G-X-M-G needs sides of one length: give momenta such as 0,0 1,0")
        half = first // 2
        points = {"g": [(0, 0)], "x": [(half, 0)], "m": [(half, second // 2)]}
        points["path"] = [
            *((m, 0) for m in range(half + 1)),
            *((half, m) for m in range(1, half + 1)),
            *((m, m) for m in range(half - 1, 0, -1)),
        ]
        found += [f"{a},{b}" for a, b in points[name]]
    return list(dict.fromkeys(found))

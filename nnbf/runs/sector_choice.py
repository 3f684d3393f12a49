"""Symmetry sectors of a lattice by name, as plain data: the options of the command line."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from hamiltonians.errors import InputError
from nnbf._options import Checked
from nnbf._text import typed

if TYPE_CHECKING:
    from hamiltonians import Lattice, Sector


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

    def sectors(self, model: "Lattice") -> "list[Sector]":
        """Return the sectors that have states; of irreps of dimension above 1 the first row.

        Raises:
            InputError: No such momentum or irrep, or no sector is left.
        """
        none = self.irreps.strip().casefold() == "none"
        found = model.sectors(
            self.momenta.split(),
            None if none else self.irreps.split(),
            {"any": (None,), "both": (1, -1), "even": (1,), "odd": (-1,)}[self.spin],
        )
        if not found:
            raise InputError("the sectors asked for have no states at this filling")
        return list(found)


@dataclass(frozen=True)
class ChargeChoice(Checked):
    """Which particle is added and removed."""

    momenta: str = ""
    """Momenta k of the particle in units of 2 pi / L, such as "0,0 1,0", or G, X, M, path; left out: all."""
    electron: Literal["up", "down"] = "up"
    """Its spin (hubbard)."""
    levels: Annotated[int, Ge(1)] = 1
    """Levels of each sector that carries weight."""
    exact: bool = True
    """Diagonalise beside, where that is affordable."""

    @property
    def spin(self) -> int:
        """Spin of the particle: 0 up (and spinless), 1 down."""
        return {"up": 0, "down": 1}[self.electron]

    def particle_momenta(self, model: "Lattice") -> "list[tuple[int, int]]":
        """Return the momenta of the particle.

        Raises:
            InputError: No such momentum.
        """
        from hamiltonians import named_momenta, space_group
        from nnbf.observables.quasiparticle import one_particle
        from nnbf.observables.spectral_function import particle_momenta

        words = named_momenta(model, self.momenta.split())
        group = space_group(one_particle(model))
        return list(particle_momenta(model, [group.sector(word).momentum for word in words] or None))


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

    def choice(self, model: "Lattice") -> SectorChoice:
        """Return the choice of this sector.

        Raises:
            InputError: No such momentum or irrep.
        """
        from hamiltonians import named_momenta, space_group
        from nnbf.ansatz.orbitals import lowest_momentum

        group = space_group(model)
        if self.momentum:
            words = named_momenta(model, self.momentum.split())
            if len(words) != 1:
                raise InputError(
                    f"momentum {self.momentum!r}: give one, such as 0,0; {typed('spectrum')} takes several"
                )
            momentum = group.sector(words[0]).momentum
        else:
            momentum = lowest_momentum(model)  # with an open boundary (0, 0)
        if len(self.irrep.split()) > 1:
            raise InputError(f"irrep {self.irrep!r}: give one; {typed('spectrum')} takes several")
        return SectorChoice(
            momenta=f"{momentum[0]},{momentum[1]}", irreps=self.irrep or "none", spin=self.spin
        )

"""A lattice as it is asked for, in words instead of symbols: `LatticeSpec.build` makes a `Lattice` of it."""

from dataclasses import dataclass
from typing import Literal

from hamiltonians.errors import InputError
from hamiltonians.lattice.model import Lattice


@dataclass(frozen=True)
class LatticeSpec:
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

    def build(self) -> Lattice:
        """Return the model.

        Raises:
            InputError: A value makes no sense.
        """
        kind = self.model.strip().casefold()
        if kind not in ("tv", "hubbard"):
            raise InputError(f"model {self.model!r}: give tv or hubbard")
        if not self.particles:
            raise InputError("how many? give particles, such as 5")
        is_tv = kind == "tv"
        if is_tv and self.neighbour_repulsion:
            raise InputError("neighbour_repulsion is for hubbard: give interaction for that of tv")
        return Lattice(
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

"""A lattice and its sectors as they are asked for, in words instead of symbols."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

from hamiltonians.errors import InputError
from hamiltonians.lattice.model import Lattice
from hamiltonians.lattice.sector import Momentum, Sector
from hamiltonians.lattice.space_group import SpaceGroup, space_group


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


def chosen_sectors(
    model: Lattice,
    momenta: Sequence[Any] = (),
    irreps: Sequence[str] | None = (),
    spin_flips: Sequence[int | None] = (None,),
) -> tuple[Sector, ...]:
    """Return the sectors that have states; of irreps of dimension above 1 the first row.

    Args:
        model: The lattice.
        momenta: (mx, my) or names of `named_momenta`; empty: one of each star.
        irreps: Irreps of the little groups, any case; empty: all, None: momenta alone.
        spin_flips: +1 for even total spin, -1 for odd, None where it is not resolved.

    Raises:
        InputError: No such momentum or irrep.
    """
    group = space_group(model)
    names = named_momenta(model, [m for m in momenta if isinstance(m, str)])
    words = [*names, *(m for m in momenta if not isinstance(m, str))]
    found = []
    for momentum in [group.sector(word).momentum for word in words] or group.momenta(inequivalent=True):
        for irrep, parity in product(_irreps(group, momentum, irreps, bool(words)), spin_flips):
            sector = group.sector(momentum, irrep, spin_flip=parity)
            if sector.dimension > 1:
                sector = group.sector(momentum, irrep, row=0, spin_flip=parity)
            found.append(sector)
    return tuple(sector for sector in found if sector.n_states)


def _irreps(
    group: SpaceGroup, momentum: Momentum, wanted: Sequence[str] | None, must_have: bool
) -> list[str | None]:
    if wanted is None:
        return [None]
    there: list[str | None] = [irrep.name for irrep in group.irreps(momentum)]
    if not wanted:
        return there
    known = {irrep.name.casefold() for m in group.momenta(inequivalent=True) for irrep in group.irreps(m)}
    for name in wanted:
        if name.casefold() not in known:
            group.sector(momentum, name)  # refused with the list of those that there are
    folded = {name.casefold() for name in wanted}
    chosen = [name for name in there if str(name).casefold() in folded]
    if not chosen and must_have:
        group.sector(momentum, wanted[0])
    return chosen


def named_momenta(model: Lattice, words: list[str]) -> list[str]:
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

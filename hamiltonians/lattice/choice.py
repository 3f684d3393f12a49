"""Which symmetry sectors of a lattice: momenta and irreps by name."""

from collections.abc import Sequence
from typing import Any

from hamiltonians.errors import InputError
from hamiltonians.lattice.model import Lattice
from hamiltonians.lattice.sector import Momentum, Sector
from hamiltonians.lattice.space_group import SpaceGroup, space_group


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
        for irrep in _irreps(group, momentum, irreps, must_have=bool(words)):
            for parity in spin_flips:
                sector = group.sector(momentum, irrep, spin_flip=parity)
                if sector.dimension > 1:
                    sector = group.sector(momentum, irrep, row=0, spin_flip=parity)
                if sector.n_states:
                    found.append(sector)
    return tuple(found)


def _irreps(
    group: SpaceGroup, momentum: Momentum, wanted: Sequence[str] | None, must_have: bool
) -> list[str | None]:
    if wanted is None:
        return [None]
    there = [irrep.name for irrep in group.irreps(momentum)]
    if not wanted:
        return [*there]
    known = {irrep.name.casefold() for m in group.momenta(inequivalent=True) for irrep in group.irreps(m)}
    for name in wanted:
        if name.casefold() not in known:
            group.sector(momentum, name)  # refused with the list of those that there are
    chosen = [name for name in there if name.casefold() in {w.casefold() for w in wanted}]
    if not chosen and must_have:
        group.sector(momentum, wanted[0])
    return [*chosen]


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

"""Which orbitals are frozen, active and dropped: parse a user's words, apply them to orbitals."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from hamiltonians.errors import InputError, whole_number
from hamiltonians.molecule.mean_field import MeanField, mean_fock
from hamiltonians.molecule.orbitals import Orbitals, joined, split_by_irrep, standard

ActiveSpace = (
    tuple[int, int] | tuple[str, float, float] | tuple[str, Sequence[int]] | tuple[str, Sequence[str]]
)
"""(electrons, orbitals), ("energy", lowest, highest), ("indices", [...]) or ("avas", [...])."""

_FORMS = "'6,6', 'energy:-1.0,1.0', 'orbitals:2-7,9' or 'avas:N 2p,O 2p'"


def parse_active_space(text: str) -> ActiveSpace:
    """Parse an active space given as text.

    Args:
        text: "6,6" (electrons, orbitals); "energy:-1.0,1.0" (window in Hartree);
            "orbitals:2-7,9" (indices from 0, ranges inclusive); "avas:N 2p,O 2p" (atomic orbitals
            whose span is wanted).

    Raises:
        InputError: The text is none of these.
    """
    kind, _, rest = text.strip().rpartition(":")
    kind = kind.strip().casefold()
    parts = [part.strip() for part in rest.split(",") if part.strip()]
    try:
        if kind in ("", "cas") and len(parts) == 2:
            return int(parts[0]), int(parts[1])
        if kind == "energy" and len(parts) == 2:
            return "energy", float(parts[0]), float(parts[1])
        if kind in ("orbitals", "indices") and parts:
            return "indices", [index for part in parts for index in _index_range(part)]
        if kind == "avas" and parts:
            return "avas", parts
    except ValueError:
        pass
    raise InputError(f"active space {text!r} is not understood: give {_FORMS}")


def checked_active_space(space: ActiveSpace | str | None) -> tuple[Any, ...] | None:
    """Return an active space in one of its forms, parsed where it is text.

    Raises:
        InputError: It has none of the forms.
    """
    if space is None:
        return None
    if isinstance(space, str):
        return parse_active_space(space)
    forms = {"energy": 3, "indices": 2, "avas": 2}
    if isinstance(space, tuple | list) and len(space) >= 2:
        kind = space[0]
        listed = kind not in ("indices", "avas") or isinstance(space[1], Sequence | np.ndarray)
        if len(space) == (forms.get(kind) if isinstance(kind, str) else 2) and listed:
            return tuple(space)
    raise InputError(
        f"active space {space!r} is not understood: give (electrons, orbitals), ('energy', lowest, "
        "highest), ('indices', [...]) or ('avas', [...])"
    )


def partition_orbitals(
    channels: tuple[Orbitals, ...],
    two_S: int,
    n_core: int,
    active_space: tuple[Any, ...] | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return indices of the orbitals folded into the core, and of those of the Hamiltonian, for both spins.

    Args:
        channels: One set of orbitals, or (alpha, beta); occupied first.
        two_S: Number of unpaired electrons.
        n_core: Core orbitals to freeze where `active_space` is None; a lower bound otherwise.
        active_space: From `checked_active_space` ("avas" has to be resolved before).

    Raises:
        InputError: The space is empty, larger than the molecule or splits an open shell.
    """
    first = channels[0]
    least = 2 if len(channels) == 1 else 1
    n_pairs = min(int(np.count_nonzero(channel.occupation >= least)) for channel in channels)
    if n_core > n_pairs:
        raise InputError(
            f"{n_core} frozen core orbitals, but only {n_pairs} are doubly occupied: freeze fewer"
        )
    if active_space is None:
        chosen = list(range(n_core, first.size))
    elif active_space[0] == "energy":
        chosen = _by_energy(first, *_window(active_space[1:]))
    elif active_space[0] == "indices":
        chosen = _by_index(first, active_space[1])
    else:
        chosen = _by_number(first, n_pairs, two_S, active_space)
    active = np.array(sorted(chosen), dtype=int)
    if not active.size:
        raise InputError("the active space holds no orbitals: widen it")
    core = np.setdiff1d(np.arange(n_pairs), active)
    if active_space is not None and not set(range(n_core)) <= set(core.tolist()):
        raise InputError(
            f"the active space reaches into the {n_core} frozen core orbitals: "
            "shrink it, or do not freeze the core"
        )
    open_shell = set(range(n_pairs, n_pairs + two_S))
    if not open_shell <= set(active.tolist()):
        raise InputError("the active space must hold every singly occupied orbital: widen it")
    return core, active


def avas_orbitals(
    field: MeanField, channels: tuple[Orbitals, ...], labels: list[str]
) -> tuple[tuple[Orbitals, ...], tuple[int, int]]:
    """Rotate orbitals of RHF or ROHF so that few of them span the wanted atomic ones, such as "N 2p".

    Source: Sayfutyarova, Sun, Chan and Knizia, J. Chem. Theory Comput. 13, 4063 (2017).

    Returns:
        The rotated orbitals (core, active, external, occupied first) and the active space as
        (electrons, orbitals).

    Raises:
        InputError: UHF orbitals, or a label that names no orbital of the molecule.
    """
    from pyscf.mcscf import avas

    if field.method == "UHF":
        raise InputError("avas needs one set of orbitals for both spins: give reference='rohf'")
    _check_labels(field, labels)
    n_active, n_electrons, coefficients = avas.avas(field.scf, labels, canonicalize=True, verbose=0)
    electrons = int(np.rint(np.sum(n_electrons)))
    n_alpha, n_beta = field.scf.mol.nelec
    frozen = (n_alpha + n_beta - electrons) // 2
    if n_active == 0:
        raise InputError(f"avas finds no orbitals for {', '.join(labels)}: name valence orbitals")
    size = channels[0].size
    occupation = np.zeros(size, dtype=int)
    occupation[:n_beta] = 2
    occupation[n_beta:n_alpha] = 1
    fock = mean_fock(field)
    bounds = sorted({0, frozen, n_beta, n_alpha, frozen + n_active, size})
    pieces = []
    for start, stop in pairwise(bounds):
        block = np.asarray(coefficients)[:, start:stop]
        energies = np.einsum("ai,ab,bi->i", block, fock, block)
        piece = Orbitals(block, energies, occupation[start:stop], None)
        # PySCF mixes degenerate orbitals of different irreps: sort them out again.
        pieces.append(standard(field, split_by_irrep(field, piece, fock) or piece))
    return (joined(pieces),), (electrons, int(n_active))


def chemical_core(molecule: object) -> int:
    """Return the usual number of core orbitals, less those that effective core potentials replace."""
    from pyscf.data import elements

    return int(elements.chemcore(molecule))


def _index_range(text: str) -> range:
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if match is None:
        raise ValueError(text)
    first = int(match.group(1))
    last = int(match.group(2) or first)
    if last < first or last - first > 10_000:
        raise ValueError(text)
    return range(first, last + 1)


def _window(bounds: Sequence[float]) -> tuple[float, float]:
    numbers = all(isinstance(bound, int | float) and np.isfinite(bound) for bound in bounds)
    if not numbers or bounds[0] >= bounds[1]:
        raise InputError(f"energy window {tuple(bounds)}: give lowest < highest, in Hartree")
    return float(bounds[0]), float(bounds[1])


def _by_energy(orbitals: Orbitals, lowest: float, highest: float) -> list[int]:
    inside = (orbitals.energies >= lowest) & (orbitals.energies <= highest)
    occupied = orbitals.occupation > 0
    if np.any(occupied & (orbitals.energies > highest)) or np.any(~occupied & (orbitals.energies < lowest)):
        raise InputError(
            f"energy window {lowest:g} to {highest:g} Hartree does not hold the gap between occupied "
            f"and empty orbitals: occupied reach {orbitals.energies[occupied].max():.3f}"
        )
    return np.flatnonzero(inside).tolist()


def _by_index(orbitals: Orbitals, indices: Sequence[int]) -> list[int]:
    chosen = [whole_number(index, "orbital index") for index in indices]
    if not chosen or len(set(chosen)) != len(chosen):
        raise InputError("orbital indices: give a list without repeats, counted from 0")
    wrong = [index for index in chosen if not 0 <= index < orbitals.size]
    if wrong:
        raise InputError(f"orbital {wrong[0]} does not exist: give 0 to {orbitals.size - 1}")
    return chosen


def _by_number(orbitals: Orbitals, n_pairs: int, two_s: int, space: Sequence[object]) -> list[int]:
    electrons, count = (whole_number(number, "size of the active space") for number in space)
    total = 2 * n_pairs + two_s
    if electrons < 0 or count < 1 or electrons > 2 * count:
        raise InputError(f"active space ({electrons}, {count}): give electrons from 0 to twice the orbitals")
    if electrons > total or (total - electrons) % 2 or electrons < two_s:
        raise InputError(
            f"{electrons} active of {total} electrons with 2S = {two_s}: give a number from {two_s} "
            f"to {total} that leaves pairs frozen"
        )
    frozen = (total - electrons) // 2
    if frozen + count > orbitals.size or (electrons + two_s) // 2 > count:
        raise InputError(
            f"active space ({electrons}, {count}) does not fit: {frozen} orbitals are frozen below it "
            f"and the molecule has {orbitals.size}"
        )
    return list(range(frozen, frozen + count))


def _check_labels(field: MeanField, labels: list[str]) -> None:
    if not labels:
        raise InputError("avas: give atomic orbitals, such as 'N 2p'")
    for label in labels:
        try:
            found = len(field.scf.mol.search_ao_label(label))
        except (ValueError, RuntimeError, KeyError):
            found = 0
        if not found:
            symbols = ", ".join(sorted({symbol for symbol, _ in field.scf.mol._atom}))
            raise InputError(
                f"avas: {label!r} names no atomic orbital; give element and shell, such as "
                f"'N 2p', for one of {symbols}"
            )

"""Stability of Hartree-Fock solutions: orbital rotations that lower the energy, followed to where none does.

Seeger and Pople, J. Chem. Phys. 66, 3045 (1977); internal (the spins as they are) and external (apart).
"""

import contextlib
import sys
from collections.abc import Iterator
from copy import copy
from types import ModuleType
from typing import Any

import numpy as np
from scipy.linalg import expm
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

#: Times that an unstable solution is followed downhill.
MOST_DESCENTS = 10
#: Curvature (Hartree) down to which a solution counts as stable; rotations up to which all are diagonalised.
_STABLE, _DENSE = -1e-5, 300
#: Size of the random turn that a stable UHF solution is looked for from.
_TURN = 0.5


def silent(field: Any) -> Any:
    """Return a PySCF mean-field object that prints nothing and keeps no checkpoint file."""
    field.verbose = 0
    field.chkfile = None
    temporary = getattr(field, "_chkfile", None)
    if temporary is not None:
        temporary.close()
    return field


def stable_solution(field: Any) -> Any:
    """Return an SCF object that is stable (internally); of UHF the lowest from several starts.

    A symmetric start may lead into a stable solution above others: broken bonds, and random turns, do not.
    """
    starts = [field]
    for density in _broken_densities(field) if np.ndim(field.mo_occ) == 2 else ():
        start = silent(copy(field))
        start.kernel(density)
        starts.append(start if start.converged else second_order(start, start.mo_coeff))
    for start in starts:
        for _ in range(MOST_DESCENTS):
            lower = downhill(start) if start.converged else None
            if lower is None:
                break
            second_order(start, lower)
    # Solutions of the same energy: the first, so that rounding does not choose.
    return min(starts, key=lambda one: (not one.converged, round(one.e_tot, 7)))


@contextlib.contextmanager
def _no_search() -> Iterator[None]:
    """Keep PySCF from importing all of its packages to look for an attribute that an object lacks."""
    name = "pyscf.__all__"
    if name in sys.modules:
        yield
        return
    sys.modules[name] = ModuleType(name)
    try:
        yield
    finally:
        sys.modules.pop(name, None)


@_no_search()
def instabilities(field: Any, method: str) -> list[str]:
    """Return lines on the instabilities of a converged solution, internal and external."""
    if downhill(field) is not None:
        return [
            f"the {method} solution is unstable (internally): other orbitals of the same kind have a lower "
            "energy; give stable to go there"
        ]
    if splits_spins(field):
        return [
            f"the {method} solution is unstable towards UHF (externally): strong correlation; give reference "
            "'uhf' with stable, or start_orbitals uhf, to begin from broken symmetry"
        ]
    return []


def downhill(field: Any) -> np.ndarray | None:
    """Return orbitals turned along the most negative curvature within the spins of a solution.

    None where there is no such direction: the solution is stable internally.

    Args:
        field: Converged RHF, ROHF or UHF object of PySCF.
    """
    from pyscf.soscf import newton_ah

    orbitals, occupations = np.asarray(field.mo_coeff), np.asarray(field.mo_occ)
    unrestricted = orbitals.ndim == 3
    closed = not unrestricted and not np.any(occupations == 1)
    made = getattr(newton_ah, "gen_g_hop_" + ("uhf" if unrestricted else "rhf" if closed else "rohf"))
    gradient, curvature, _ = made(field, orbitals, occupations, with_symmetry=False)
    step = _lowest_direction(curvature, gradient.size)
    if step is None:
        return None
    channels = occupations if unrestricted else occupations[None]
    # Rows are entered by electrons of columns: out of empty and, of ROHF, singly occupied orbitals.
    mixed = [occupied[:, None] < occupied for occupied in channels]
    steps = np.split(step, np.cumsum([np.count_nonzero(pairs) for pairs in mixed])[:-1])
    turned = []
    for own, pairs, part in zip(orbitals if unrestricted else orbitals[None], mixed, steps, strict=True):
        rotation = np.zeros(pairs.shape)
        rotation[pairs] = part
        turned.append(own @ expm(rotation - rotation.T))
    return np.stack(turned) if unrestricted else turned[0]


def splits_spins(field: Any) -> bool:
    """Return whether alpha and beta orbitals that part lower the energy of a closed shell (external)."""
    from pyscf.soscf import newton_ah

    orbitals, occupations = np.asarray(field.mo_coeff), np.asarray(field.mo_occ)
    if orbitals.ndim == 3 or np.any(occupations == 1):
        return False
    of_spins = np.stack([occupations / 2] * 2)
    free = field.to_uhf()
    gradient, curvature, _ = newton_ah.gen_g_hop_uhf(
        free, np.stack([orbitals] * 2), of_spins, with_symmetry=False
    )
    half = gradient.size // 2

    def apart(step: np.ndarray) -> np.ndarray:
        return curvature(np.concatenate([step, -step]))[:half]

    return _lowest_direction(apart, half) is not None


def second_order(field: Any, orbitals: np.ndarray) -> Any:
    """Return the SCF object after second-order iterations from orbitals, where they help."""
    second = silent(field.newton())
    second.max_cycle = 50
    second.kernel(orbitals, field.mo_occ)
    if second.converged or second.e_tot < field.e_tot:
        field.mo_coeff, field.mo_occ = second.mo_coeff, second.mo_occ
        field.mo_energy, field.e_tot = second.mo_energy, second.e_tot
        field.converged = second.converged
    return field


def _broken_densities(field: Any) -> list[np.ndarray]:
    """Return starts of broken symmetry: atoms of alternating spin, and a turn of all orbitals."""
    rng = np.random.default_rng(0)
    turned = [
        own @ np.linalg.qr(np.eye(own.shape[1]) + _TURN * rng.normal(size=2 * own.shape[1:]))[0]
        for own in np.asarray(field.mo_coeff)
    ]
    mean = np.asarray(field.get_init_guess()).mean(axis=0)
    alternating = np.zeros((2, *mean.shape))
    for atom, (_, _, first, last) in enumerate(field.mol.aoslice_by_atom()):
        alternating[atom % 2, first:last, first:last] = 2.0 * mean[first:last, first:last]
    return [alternating, field.make_rdm1(np.stack(turned), field.mo_occ)]


def _lowest_direction(curvature: Any, size: int) -> np.ndarray | None:
    """Return the eigenvector of the lowest curvature where that is negative."""
    if not size:
        return None
    operator = LinearOperator((size, size), lambda x: curvature(x.ravel()), dtype=float)
    if size <= _DENSE:
        values, vectors = np.linalg.eigh(operator @ np.eye(size))
    else:
        random = np.random.default_rng(0).normal(size=size)
        try:
            values, vectors = eigsh(operator, k=1, which="SA", v0=random, tol=1e-4)
        except ArpackError:
            return None
    return None if values[0] > _STABLE else vectors[:, 0]

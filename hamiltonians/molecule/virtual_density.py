"""Correlated density matrices over virtual orbitals, with PySCF's MP2 and CCSD, and the MP2 energy."""

from typing import Any

import numpy as np

from hamiltonians.errors import InputError
from hamiltonians.molecule.mean_field import MeanField, silent
from hamiltonians.molecule.orbitals import Orbitals


def virtual_density(
    field: MeanField, orbitals: Orbitals, n_core: int, method: str
) -> tuple[np.ndarray, float]:
    """Return the density over the orbitals empty in both spins, and the MP2 energy.

    Densities are unrelaxed. Open shells are treated in semicanonical orbitals; singles are in the energy.

    Args:
        field: Converged RHF or ROHF solution.
        orbitals: Its canonical orbitals, occupied first; V of them are empty.
        n_core: How many of the first are not correlated.
        method: "mp2" or "ccsd", for the density.

    Returns:
        (V, V), summed over spins; and the total energy in Hartree.

    Raises:
        InputError: CCSD does not converge, or electrons of one spin alone are correlated.
    """
    n_virtual = int(np.count_nonzero(orbitals.occupation == 0))
    n_alpha = int(np.count_nonzero(orbitals.occupation > 0)) - n_core
    n_beta = int(np.count_nonzero(orbitals.occupation > 1)) - n_core
    if n_alpha + n_beta < 2 or not n_virtual:
        return np.zeros((n_virtual, n_virtual)), field.energy
    if n_beta < 1:
        raise InputError(
            "frozen natural orbitals need correlated electrons of both spins: leave out fno_threshold and "
            "fno_virtuals, or freeze fewer orbitals"
        )
    if n_alpha == n_beta:
        return _closed_shell_density(field, orbitals, n_core, method)
    return _open_shell_density(field, orbitals, n_core, method)


def _closed_shell_density(
    field: MeanField, orbitals: Orbitals, n_core: int, method: str
) -> tuple[np.ndarray, float]:
    from pyscf import cc, mp

    mean_field = field.scf.copy()
    mean_field.mo_coeff, mean_field.mo_energy = orbitals.coefficients, orbitals.energies
    mean_field.mo_occ = orbitals.occupation.astype(float)
    solver: Any = mp.MP2(mean_field, frozen=n_core or None)
    solver.verbose = 0
    solver.kernel()
    energy = field.energy + float(solver.e_corr)
    if method == "ccsd":
        solver = _solved(cc.CCSD(mean_field, frozen=n_core or None))
    density = solver.make_rdm1(with_frozen=False)
    virtual = slice(int(np.count_nonzero(orbitals.occupation)) - n_core, None)
    return density[virtual, virtual], energy


def _open_shell_density(
    field: MeanField, orbitals: Orbitals, n_core: int, method: str
) -> tuple[np.ndarray, float]:
    from pyscf import cc, mp

    mean_field, rotations, singles = _semicanonical(field, orbitals, n_core)
    solver: Any = mp.UMP2(mean_field, frozen=n_core or None)
    solver.verbose = 0
    solver.kernel()
    energy = field.energy + singles + float(solver.e_corr)
    if method == "ccsd":
        solver = _solved(cc.UCCSD(mean_field, frozen=n_core or None))
    n_virtual = int(np.count_nonzero(orbitals.occupation == 0))
    density = np.zeros((n_virtual, n_virtual))
    for rotation, matrix in zip(rotations, solver.make_rdm1(with_frozen=False), strict=True):
        own = rotation.shape[0]
        # Of beta electrons the singly occupied orbitals are virtual too: they come first and stay.
        density += (rotation @ matrix[-own:, -own:] @ rotation.T)[-n_virtual:, -n_virtual:]
    return density, energy


def _semicanonical(
    field: MeanField, orbitals: Orbitals, n_core: int
) -> tuple[Any, tuple[np.ndarray, np.ndarray], float]:
    """Return ROHF as a UHF object whose Fock matrices are diagonal in correlated and in virtual orbitals.

    Returns:
        The object; the virtual orbitals of both spins over the orbitals that spin has empty; and the
        energy of single excitations at second order.
    """
    from pyscf import scf

    source = field.scf
    molecule = source.mol.copy()
    molecule.symmetry = False
    density = source.make_rdm1()
    focks = source.get_hcore() + np.asarray(source.get_veff(source.mol, density))
    coefficients, energies, occupations, rotations, singles = [], [], [], [], 0.0
    for spin in (0, 1):
        n = int(np.count_nonzero(orbitals.occupation > spin))
        fock = orbitals.coefficients.T @ focks[spin] @ orbitals.coefficients
        rotation = np.eye(orbitals.size)
        for part in (slice(n_core, n), slice(n, None)):
            rotation[part, part] = np.linalg.eigh(fock[part, part])[1]
        rotated = rotation.T @ fock @ rotation
        levels = np.diag(rotated).copy()
        gap = levels[n_core:n, None] - levels[None, n:]
        singles += float(np.sum(rotated[n_core:n, n:] ** 2 / gap))
        coefficients.append(orbitals.coefficients @ rotation)
        energies.append(levels)
        occupations.append((orbitals.occupation > spin).astype(float))
        rotations.append(rotation[n:, n:])
    unrestricted = silent(scf.UHF(molecule))
    unrestricted._eri = source._eri
    unrestricted.get_hcore = lambda *_: source.get_hcore()
    unrestricted.mo_coeff = np.stack(coefficients)
    unrestricted.mo_energy = np.stack(energies)
    unrestricted.mo_occ = np.stack(occupations)
    unrestricted.e_tot, unrestricted.converged = field.energy, True
    return unrestricted, (rotations[0], rotations[1]), singles


def _solved(solver: Any) -> Any:
    """Return a CCSD object after its equations and those of Lambda."""
    solver.verbose = 0
    solver.max_cycle = 200
    solver.kernel()
    if solver.converged:
        solver.solve_lambda()
    if not solver.converged or not solver.converged_lambda:
        raise InputError("fno_density ccsd: CCSD did not converge; give mp2")
    return solver

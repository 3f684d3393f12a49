"""Full configuration interaction on a set of integrals, with PySCF: the exact answer where it fits."""

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from hamiltonians.errors import InputError
from hamiltonians.integrals import MolecularIntegrals, determinant_irrep, irrep_bits
from hamiltonians.molecule.determinant import determinant_energy

# A second root guards against a start vector that lacks the ground state by a hidden symmetry.
_SECOND_ROOT_STATES = 5_000
_SECOND_ROOT_ORBITALS = 40


@dataclass(frozen=True)
class FciResult:
    """The lowest energy and what state it belongs to."""

    energy: float
    """Total energy in Hartree."""
    s_squared: float | None
    """<S^2>, or None where alpha and beta orbitals differ, or from 64 orbitals on."""
    converged: bool
    """True where the eigenvector converged."""
    note: str
    """Which states were searched."""


def fci_dimension(integrals: MolecularIntegrals) -> int:
    """Return the number of determinants, alpha strings times beta strings (all irreps)."""
    size = integrals.n_orbitals
    return math.comb(size, integrals.n_alpha) * math.comb(size, integrals.n_beta)


def fci_energy_of_integrals(integrals: MolecularIntegrals) -> float:
    """Return the FCI ground-state energy in Hartree; see `solve_fci` for which state that is.

    Raises:
        InputError: The eigenvector does not converge.
    """
    result = solve_fci(integrals)
    if not result.converged:
        raise InputError("FCI did not converge: the spectrum may be degenerate; try other orbitals")
    return result.energy


def solve_fci(integrals: MolecularIntegrals) -> FciResult:
    """Find the lowest state in the irrep of the reference determinant.

    With as many alpha as beta electrons in the same orbitals, states of even S are searched (the
    singlet, as a rule); otherwise all states with the given spin projection. Without irreps the
    whole space is searched.

    Args:
        integrals: The Hamiltonian; `hamiltonians.molecule.fci.fci_dimension` tells the cost.
    """
    if fci_dimension(integrals) == 1:
        return FciResult(determinant_energy(integrals), _trivial_spin(integrals), True, "one determinant")
    even_spin = integrals.two_S == 0 and not integrals.is_spin_resolved
    bits = irrep_bits(integrals)
    labelled = bool(bits.any()) and not integrals.is_spin_resolved
    irrep = determinant_irrep(integrals, integrals.reference_occupation) if labelled else 0
    solver = _solver(even_spin, labelled, integrals.is_spin_resolved)
    if labelled:
        solver.orbsym = bits
        solver.wfnsym = irrep
    electrons = (integrals.n_alpha, integrals.n_beta)
    solver.nroots = _number_of_roots(integrals, even_spin, bits if labelled else None, irrep)
    if integrals.is_spin_resolved:
        one_body: Any = tuple(np.array(h) for h in integrals.one_body)
        two_body: Any = tuple(np.array(block) for block in integrals.two_body)
    else:
        one_body, two_body = np.array(integrals.one_body), np.array(integrals.two_body)
    energies, vectors = solver.kernel(one_body, two_body, integrals.n_orbitals, electrons)
    if not np.all(solver.converged):
        # Rounding errors had filled up Davidson's space: from the vectors that it found it gets through.
        energies, vectors = solver.kernel(one_body, two_body, integrals.n_orbitals, electrons, ci0=vectors)
    energies, converged = np.atleast_1d(energies), np.atleast_1d(solver.converged)
    lowest = int(np.argmin(energies))
    vector = vectors[lowest] if isinstance(vectors, (list, tuple)) else vectors
    s_squared = None
    if not integrals.is_spin_resolved and integrals.n_orbitals < 64:  # PySCF's limit
        s_squared = float(solver.spin_square(vector, integrals.n_orbitals, electrons)[0])
    searched = "even S" if even_spin else f"S_z = {integrals.two_S / 2:g}"
    where = f", irrep {_irrep_label(integrals, irrep)}" if labelled else ""
    return FciResult(
        float(energies[lowest]) + integrals.constant,
        s_squared,
        bool(converged[lowest]),
        f"lowest state of {searched}{where}",
    )


def _solver(even_spin: bool, labelled: bool, spin_resolved: bool) -> Any:
    from pyscf.fci import direct_spin0, direct_spin0_symm, direct_spin1, direct_spin1_symm, direct_uhf

    if spin_resolved:
        module = direct_uhf
    elif labelled:
        module = direct_spin0_symm if even_spin else direct_spin1_symm
    else:
        module = direct_spin0 if even_spin else direct_spin1
    solver = module.FCISolver(None)
    solver.verbose = 0
    solver.conv_tol = 1e-11
    solver.max_cycle = 300
    solver.max_space = 20
    solver.pspace_size = 400
    return solver


def _number_of_roots(
    integrals: MolecularIntegrals, even_spin: bool, bits: np.ndarray | None, irrep: int
) -> int:
    """Return 2 where that is cheap and there are two states, else 1."""
    size = integrals.n_orbitals
    symmetry = 8 if bits is not None else 1
    if fci_dimension(integrals) > symmetry * _SECOND_ROOT_STATES or size > _SECOND_ROOT_ORBITALS:
        return 1
    codes = np.zeros(size, dtype=int) if bits is None else bits
    alpha = _string_irreps(codes, integrals.n_alpha)
    beta = _string_irreps(codes, integrals.n_beta)
    states = int(np.count_nonzero((alpha[:, None] ^ beta[None, :]) == irrep))
    if even_spin:
        states = (states + alpha.size * (irrep == 0)) // 2
    return max(1, min(2, states))


def _string_irreps(codes: np.ndarray, number: int) -> np.ndarray:
    """Return the irrep of every way to put `number` electrons into the orbitals."""
    strings = combinations(range(codes.size), number)
    return np.array([np.bitwise_xor.reduce(codes[list(s)], initial=0) for s in strings], dtype=int)


def _irrep_label(integrals: MolecularIntegrals, code: int) -> str:
    from hamiltonians.irreps import irrep_name

    return irrep_name(code, integrals.point_group)


def _trivial_spin(integrals: MolecularIntegrals) -> float | None:
    if integrals.is_spin_resolved:
        return None
    s = abs(integrals.two_S) / 2
    return s * (s + 1)

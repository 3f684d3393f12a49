"""Molecules with their FCI states: an exact state of every kind of orbitals, without a network."""

from functools import cache

import numpy as np

from hamiltonians import Molecule, build_molecule, irrep_bits
from nnbf.determinants import determinant_irreps
from nnbf.observables import Configurations
from tests.observables.vectors import strings, vector_to_lists

NH2 = "N 0 0 0.14; H 0 0.80 -0.50; H 0 -0.80 -0.50"
MOLECULES = {
    "H2O": ("H2O", {}),
    "H2O, frozen core": ("H2O", {"frozen_core": 1}),
    "LiH": ("LiH", {}),
    "O2": ("O2", {"spin": 2}),
    "NH2, ROHF": (NH2, {"spin": 1}),
    "NH2, UHF": (NH2, {"spin": 1, "reference": "uhf", "symmetry": False}),
    "NH2, UHF, frozen core": (NH2, {"spin": 1, "reference": "uhf", "frozen_core": 1}),
}


@cache
def molecule(name) -> Molecule:
    geometry, options = MOLECULES[name]
    return build_molecule(geometry, "sto-3g", references=False, **options)


@cache
def fci_state(name) -> tuple[float, np.ndarray]:
    """(energy, vector) of PySCF's FCI with the integrals of the system."""
    from pyscf import fci

    integrals = molecule(name).integrals
    size, electrons = integrals.n_orbitals, (integrals.n_alpha, integrals.n_beta)
    full = integrals.unpack_two_body()
    solver = fci.direct_uhf.FCI() if integrals.is_spin_resolved else fci.direct_spin1.FCI()
    solver.conv_tol, solver.max_cycle = 1e-13, 300
    two_body = tuple(full) if integrals.is_spin_resolved else full
    # From the reference determinant, so that the state is in its irrep.
    guess = np.zeros([len(strings(size, n)) for n in electrons])
    place = []
    for occupied, count in zip(integrals.reference_occupation, electrons, strict=True):
        place.append(int(np.flatnonzero(strings(size, count)[:, 0] == sum(1 << p for p in occupied))[0]))
    guess[tuple(place)] = 1.0
    return solver.kernel(
        integrals.one_body, two_body, size, electrons, ecore=integrals.constant, ci0=guess, tol=1e-13
    )


def fci_expansion(name) -> Configurations:
    """The FCI state as an expansion, within the irrep of its largest determinant."""
    integrals = molecule(name).integrals
    size = integrals.n_orbitals
    rows, psi = vector_to_lists(fci_state(name)[1], size, (integrals.n_alpha, integrals.n_beta))
    codes = irrep_bits(integrals)
    own = determinant_irreps(rows, codes)
    keep = own == own[int(np.argmax(np.abs(psi)))]
    assert np.abs(psi[~keep]).max(initial=0.0) < 1e-5
    return Configurations.expansion(rows[keep], psi[keep], size, irreps=codes, kind="full_sum")

"""Orbitals that molecular backflow starts from, and the operations that they share with the Hamiltonian."""

from netket.utils import HashableArray

from hamiltonians import InputError, MolecularIntegrals
from hamiltonians.molecule.lowest_determinant import lowest_determinant
from hamiltonians.orbital_symmetry import orbital_symmetries
from nnbf.ansatz import SymmetryElements
from nnbf.ansatz.weight_tying import invariant_orbitals, operations_of
from nnbf.drivers.options import SolverOptions


def starting_orbitals(
    integrals: MolecularIntegrals, options: SolverOptions
) -> tuple[tuple[HashableArray, HashableArray] | None, SymmetryElements | None]:
    """Occupied alpha and beta orbitals, and the operations that leave them and the Hamiltonian as they are.

    None for the orbitals of the reference determinant; None for operations where none are asked for, or the
    identity is the only one.

    Raises:
        InputError: Operations are asked for without orbitals of their own, or with one of two flipped
            configurations standing for both.
    """
    if options.equivariant and options.spin_flip == "canonical":
        raise InputError(
            "equivariant does not go with spin_flip canonical: give average or none, or leave it out"
        )
    if options.start_orbitals == "reference":
        if options.equivariant:
            raise InputError("equivariant is for orbitals of a determinant: give start_orbitals uhf or rhf")
        return None, None
    orbitals = lowest_determinant(integrals, options.start_orbitals).orbitals
    symmetry = None
    if options.equivariant:
        symmetry = operations_of(orbitals, *orbital_symmetries(integrals))
    if symmetry is not None:
        orbitals = invariant_orbitals(symmetry, orbitals)
    return (HashableArray(orbitals[0]), HashableArray(orbitals[1])), symmetry

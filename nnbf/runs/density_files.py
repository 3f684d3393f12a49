"""Files of the final state's observables: density matrices, and the system in natural orbitals."""

from typing import TYPE_CHECKING, Any

from hamiltonians.errors import InputError
from nnbf.runs.archive import write_archive

if TYPE_CHECKING:
    from hamiltonians import Molecule
    from nnbf.runs.directory import RunDirectory

MOST_BYTES = 64_000_000
"""Integrals larger than this (about 75 orbitals) are not written a second time in natural orbitals."""


def write_observables(directory: "RunDirectory", system: "Molecule", found: Any) -> None:
    """Write natural_orbitals.npz, and rdm.npz where there are two-particle density matrices.

    Args:
        directory: The run folder.
        system: What was solved.
        found: Observables of the final state, or None.

    Raises:
        OSError: A file cannot be written.
    """
    if found is None:
        return
    if found.two_body is not None:
        from nnbf.observables.density_matrices import density_arrays

        write_archive(directory.density_file, density_arrays(found))
    if system.integrals.two_body.nbytes > MOST_BYTES:
        return
    from nnbf.observables import natural_orbital_system

    try:
        natural_orbital_system(system, found.natural).save(directory.natural_orbitals_file)
    except InputError as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from error
        raise

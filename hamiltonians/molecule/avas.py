"""Active spaces from atomic valence orbitals (AVAS): name atomic orbitals, get their molecular span.

Source: Sayfutyarova, Sun, Chan and Knizia, J. Chem. Theory Comput. 13, 4063 (2017).
"""

from itertools import pairwise

import numpy as np

from hamiltonians.errors import InputError
from hamiltonians.molecule.mean_field import MeanField
from hamiltonians.molecule.orbitals import Orbitals, split_by_irrep
from hamiltonians.molecule.orientation import standard


def avas_orbitals(
    field: MeanField, channels: tuple[Orbitals, ...], labels: list[str]
) -> tuple[tuple[Orbitals, ...], tuple[int, int]]:
    """Rotate orbitals so that the wanted atomic orbitals are spanned by few of them.

    Args:
        field: RHF or ROHF solution.
        channels: Canonical orbitals.
        labels: Atomic orbitals in PySCF's words, such as "N 2p" or "0 C 2pz".

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
    fock = np.asarray(field.scf.get_fock())
    fock = fock.mean(axis=0) if fock.ndim == 3 else fock
    bounds = sorted({0, frozen, n_beta, n_alpha, frozen + n_active, size})
    pieces = []
    for start, stop in pairwise(bounds):
        block = np.asarray(coefficients)[:, start:stop]
        energies = np.einsum("ai,ab,bi->i", block, fock, block)
        piece = Orbitals(block, energies, occupation[start:stop], None)
        # PySCF mixes degenerate orbitals of different irreps: sort them out again.
        pieces.append(standard(field, split_by_irrep(field, piece, fock) or piece))
    irreps = [piece.irreps for piece in pieces if piece.irreps is not None]
    rotated = Orbitals(
        np.hstack([piece.coefficients for piece in pieces]),
        np.concatenate([piece.energies for piece in pieces]),
        occupation,
        tuple(label for block in irreps for label in block) if len(irreps) == len(pieces) else None,
    )
    return (rotated,), (electrons, int(n_active))


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

"""A PySCF mean-field object made of integrals, so that PySCF's correlation methods run on them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hamiltonians.integrals import MolecularIntegrals
from hamiltonians.molecule.determinant import determinant_energy
from hamiltonians.molecule.stability import silent
from hamiltonians.packing import number_of_pairs, pair_indices


@dataclass(frozen=True)
class PseudoField:
    """The reference determinant in semicanonical orbitals, over a pretended atomic-orbital basis."""

    one_body: np.ndarray
    """Core Hamiltonian over the pretended basis, (n, n)."""
    two_body: np.ndarray
    """Packed repulsion over the pretended basis."""
    coefficients: tuple[np.ndarray, np.ndarray]
    """Semicanonical (alpha, beta) orbitals, occupied first, (n, M) each."""
    fock: tuple[np.ndarray, np.ndarray]
    """Fock matrices in these orbitals, (M, M) each."""
    numbers: tuple[int, int]
    """Numbers of (alpha, beta) electrons."""
    constant: float
    """Energy of nuclei and frozen core."""
    energy: float
    """Energy of the determinant, in Hartree."""
    gradient: float
    """Largest Fock element that vanishes for a Hartree-Fock solution."""
    restricted: bool
    """True for a closed shell in one set of orbitals."""

    @property
    def size(self) -> int:
        """Number of orbitals M."""
        return self.fock[0].shape[0]

    @property
    def levels(self) -> list[list[np.ndarray]]:
        """Semicanonical energies of the occupied and of the empty orbitals, for each spin."""
        return [np.split(np.diag(fock), [number]) for fock, number in zip(self.fock, self.numbers)]

    def occupied_empty_fock(self, spin: int) -> np.ndarray:
        """Return F_ia of one spin; not zero for ROHF."""
        return self.fock[spin][: self.numbers[spin], self.numbers[spin] :]

    def ovov(self, left: int, right: int) -> np.ndarray:
        """Return (ia|jb) with i, a of spin `left` and j, b of spin `right`."""
        from pyscf import ao2mo

        parts, shape = [], []
        for spin in (left, right):
            number = self.numbers[spin]
            parts += [self.coefficients[spin][:, :number], self.coefficients[spin][:, number:]]
            shape += [number, self.size - number]
        if 0 in shape:
            return np.zeros(shape)
        return ao2mo.general(self.two_body, parts, compact=False).reshape(shape)

    def coupled_cluster(self) -> Any:
        """Return PySCF's CCSD object (restricted for a closed shell, else unrestricted)."""
        from pyscf import cc, scf

        field = scf_object(scf.RHF if self.restricted else scf.UHF, self)
        occupations = [(np.arange(self.size) < number).astype(float) for number in self.numbers]
        energies = [np.diag(f).copy() for f in self.fock]
        if self.restricted:
            field.mo_coeff = self.coefficients[0]
            field.mo_occ = 2.0 * occupations[0]
            field.mo_energy = energies[0]
            return cc.RCCSD(field)
        field.mo_coeff = np.stack(self.coefficients)
        field.mo_occ = np.stack(occupations)
        field.mo_energy = np.stack(energies)
        return cc.UCCSD(field)


def pseudo_field(integrals: MolecularIntegrals) -> PseudoField:
    """Return the reference determinant of `integrals` in semicanonical orbitals."""
    size = integrals.n_orbitals
    focks = fock_matrices(integrals)
    rotations, rotated = [], []
    for fock, occupied in zip(focks, integrals.reference_occupation, strict=True):
        empty = np.setdiff1d(np.arange(size), occupied)
        rotation = np.zeros((size, size))
        column = 0
        for space in (np.array(occupied, dtype=int), empty):
            _, vectors = np.linalg.eigh(fock[np.ix_(space, space)])
            rotation[np.ix_(space, range(column, column + space.size))] = vectors
            column += space.size
        rotations.append(rotation)
        rotated.append(rotation.T @ fock @ rotation)
    alpha, beta = integrals.reference_occupation
    restricted = alpha == beta and not integrals.is_spin_resolved
    if integrals.is_spin_resolved:
        one_body, two_body = _doubled(integrals)
        # Alpha orbitals live on the first half of the pretended basis, beta on the second.
        zero = np.zeros((size, size))
        rotations = [np.vstack([rotations[0], zero]), np.vstack([zero, rotations[1]])]
    else:
        one_body, two_body = integrals.one_body, integrals.two_body
    return PseudoField(
        np.array(one_body),
        np.array(two_body),
        (rotations[0], rotations[1]),
        (rotated[0], rotated[1]),
        (integrals.n_alpha, integrals.n_beta),
        integrals.constant,
        determinant_energy(integrals),
        _gradient(integrals, focks),
        restricted,
    )


def fock_matrices(integrals: MolecularIntegrals) -> tuple[np.ndarray, np.ndarray]:
    """Return the (alpha, beta) Fock matrices of the reference determinant, (M, M) each."""
    index = pair_indices(integrals.n_orbitals)
    diagonal = np.diag(index)
    one_body, (aa, mixed, bb) = integrals.spin_blocks
    same = (aa, bb)
    focks = []
    for spin, occupied in enumerate(integrals.reference_occupation):
        other = diagonal[list(integrals.reference_occupation[1 - spin])]
        from_other = mixed[:, other].sum(axis=1) if spin == 0 else mixed[other].sum(axis=0)
        from_same = same[spin][:, diagonal[list(occupied)]].sum(axis=1)
        fock = one_body[spin] + (from_same + from_other)[index]
        for orbital in occupied:
            fock = fock - same[spin][np.ix_(index[:, orbital], index[:, orbital])]
        focks.append(fock)
    return focks[0], focks[1]


def relaxed_integrals(integrals: MolecularIntegrals) -> MolecularIntegrals | None:
    """Return the Hamiltonian in its own Hartree-Fock orbitals, started at the reference determinant.

    None where that does not converge, or where the spins have different orbitals.
    """
    from pyscf import scf

    if integrals.is_spin_resolved:
        return None
    start = pseudo_field(integrals)
    closed = integrals.two_S == 0
    field = scf_object(scf.RHF if closed else scf.ROHF, start)
    field.conv_tol = 1e-11
    field.max_cycle = 200
    orbitals = np.arange(integrals.n_orbitals)
    densities = [np.diag(np.isin(orbitals, one).astype(float)) for one in integrals.reference_occupation]
    field.kernel(densities[0] + densities[1] if closed else np.stack(densities))
    if not field.converged:
        second = silent(field.newton())
        second.kernel(field.mo_coeff, field.mo_occ)
        if not second.converged:
            return None
        field = second
    order = np.lexsort((field.mo_energy, -np.rint(field.mo_occ)))
    rotated = integrals.rotate(np.asarray(field.mo_coeff)[:, order])
    return MolecularIntegrals(
        rotated.constant, rotated.one_body, rotated.two_body, rotated.n_alpha, rotated.n_beta
    )


def _gradient(integrals: MolecularIntegrals, focks: tuple[np.ndarray, np.ndarray]) -> float:
    alpha, beta = (set(occupied) for occupied in integrals.reference_occupation)
    everything = set(range(integrals.n_orbitals))
    if integrals.is_spin_resolved:
        blocks = [
            (fock, occupied, everything - occupied)
            for fock, occupied in zip(focks, (alpha, beta), strict=True)
        ]
    else:
        # Closed, open and empty orbitals of ROHF mix by different Fock operators.
        closed, opened, empty = alpha & beta, alpha ^ beta, everything - (alpha | beta)
        blocks = [
            (0.5 * (focks[0] + focks[1]), closed, empty),
            (focks[1], closed, opened),
            (focks[0], opened, empty),
        ]
    return max(
        float(np.abs(fock[np.ix_(sorted(rows), sorted(columns))]).max(initial=0.0))
        for fock, rows, columns in blocks
    )


def _doubled(integrals: MolecularIntegrals) -> tuple[np.ndarray, np.ndarray]:
    """Return one Hamiltonian over 2M orbitals, alpha ones first, that never couples the spins."""
    size = integrals.n_orbitals
    one_body = np.zeros((2 * size, 2 * size))
    one_body[:size, :size], one_body[size:, size:] = integrals.one_body
    rows, columns = np.tril_indices(size)
    beta = pair_indices(2 * size)[rows + size, columns + size]
    alpha = pair_indices(2 * size)[rows, columns]
    two_body = np.zeros((number_of_pairs(2 * size),) * 2)
    aa, ab, bb = integrals.two_body
    two_body[np.ix_(alpha, alpha)] = aa
    two_body[np.ix_(alpha, beta)] = ab
    two_body[np.ix_(beta, alpha)] = ab.T
    two_body[np.ix_(beta, beta)] = bb
    return one_body, two_body


def scf_object(kind: Any, source: PseudoField) -> Any:
    """Return PySCF's mean-field object of a class on the pretended basis, before any iteration."""
    from pyscf import gto

    molecule = gto.Mole()
    molecule.verbose = 0
    molecule.nelectron = sum(source.numbers)
    molecule.spin = source.numbers[0] - source.numbers[1]
    molecule.incore_anyway = True
    # Where a user's PySCF configuration asks for it, PySCF would parse our own command line.
    molecule.build(dump_input=False, parse_arg=False)
    molecule.nao = source.one_body.shape[0]
    field = silent(kind(molecule))
    field.get_hcore = lambda *_: source.one_body
    field.get_ovlp = lambda *_: np.eye(source.one_body.shape[0])
    field.energy_nuc = lambda *_: source.constant
    field._eri = source.two_body
    field.converged = True
    field.e_tot = source.energy
    return field

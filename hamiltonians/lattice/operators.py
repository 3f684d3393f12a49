"""A lattice model as an operator: sparse matrix, OpenFermion, NetKet.

Modes are blocked (all up, then all down) except in OpenFermion, which interleaves spins (mode 2 i + s).
A configuration |n> is the product of creation operators in ascending mode order on the vacuum.
"""

from itertools import chain, combinations
from math import comb
from typing import Any

import numpy as np
import scipy.sparse

from hamiltonians.errors import InputError
from hamiltonians.lattice.model import Lattice

# Beyond this the occupations alone fill gigabytes.
_MOST_CONFIGURATIONS = 10_000_000


def lattice_configurations(model: Lattice) -> np.ndarray:
    """Return all configurations, (n_configurations, n_modes) uint8, up block first.

    Of one spin they are ordered by the integer whose bit i is site i; with two spins the row is
    (row of the up block) * C(n_sites, N_down) + (row of the down block).

    Raises:
        InputError: More than 1e7 configurations.
    """
    blocks = _blocks(model)
    if len(blocks) == 1:
        return blocks[0]
    up, down = blocks
    return np.concatenate([np.repeat(up, len(down), axis=0), np.tile(down, (len(up), 1))], axis=1)


def lattice_to_sparse(model: Lattice) -> scipy.sparse.csr_matrix:
    """Return H in the basis of `lattice_configurations`, without symmetry.

    Real unless a twist makes the hopping complex.

    Raises:
        InputError: More than 1e7 configurations.
    """
    blocks = _blocks(model)
    kinetic = [_one_spin(occupations, model.hopping) for occupations in blocks]
    within = [0.5 * np.einsum("ni,ij,nj->n", b, model.repulsion, b, optimize=True) for b in blocks]
    if len(blocks) == 1:
        return (kinetic[0] + scipy.sparse.diags(within[0])).tocsr()
    up, down = (block.astype(float) for block in blocks)
    between = up @ (model.repulsion + model.U * np.eye(model.n_sites)) @ down.T
    diagonal = within[0][:, None] + within[1][None, :] + between
    one_up, one_down = (scipy.sparse.identity(len(block)) for block in blocks)
    moves = scipy.sparse.kron(kinetic[0], one_down) + scipy.sparse.kron(one_up, kinetic[1])
    return (moves + scipy.sparse.diags(diagonal.ravel())).tocsr()


def lattice_to_fermion_operator(model: Lattice) -> Any:
    """Return an openfermion.FermionOperator on n_modes modes, in OpenFermion's order (spins interleaved)."""
    from openfermion import FermionOperator

    operator = FermionOperator()
    for terms, value in _terms(model):
        operator += FermionOperator(tuple((_interleaved(model, mode), kind) for mode, kind in terms), value)
    return operator


def lattice_to_netket(model: Lattice) -> tuple[Any, Any]:
    """Return (hilbert, operator) for NetKet: a JAX operator that conserves particle number (and spin).

    Returns:
        `nk.hilbert.SpinOrbitalFermions` with fixed particles, up block first, and a
        `ParticleNumberConservingFermioperator2nd` or `ParticleNumberAndSpinConservingFermioperator2nd`.
    """
    import netket as nk
    from netket.experimental import operator as experimental  # noqa: TID251 - this package cannot use nnbf's

    if model.is_spinful:
        hilbert = nk.hilbert.SpinOrbitalFermions(model.n_sites, s=1 / 2, n_fermions_per_spin=model.particles)
        kind = experimental.ParticleNumberAndSpinConservingFermioperator2nd
    else:
        hilbert = nk.hilbert.SpinOrbitalFermions(model.n_sites, n_fermions=model.n_particles)
        kind = experimental.ParticleNumberConservingFermioperator2nd
    terms = list(_terms(model))
    general = nk.operator.FermionOperator2nd(
        hilbert,
        [term for term, _ in terms],
        [value for _, value in terms],
        dtype=model.hopping.dtype,
    )
    return hilbert, kind.from_fermionoperator2nd(general)


def _terms(model: Lattice):
    """Yield ((mode, 1 creates or 0 annihilates), ...) and coefficient, modes blocked."""
    size = model.n_sites
    spins = range(len(model.particles))
    for i, j in np.argwhere(model.hopping).tolist():
        for spin in spins:
            yield ((spin * size + i, 1), (spin * size + j, 0)), model.hopping[i, j].item()
    for i, j in np.argwhere(np.triu(model.repulsion)).tolist():
        for left in spins:
            for right in spins:
                yield _density_pair(left * size + i, right * size + j), float(model.repulsion[i, j])
    if model.U != 0.0:
        for i in range(size):
            yield _density_pair(i, size + i), model.U


def _density_pair(p: int, q: int) -> tuple[tuple[int, int], ...]:
    return (p, 1), (p, 0), (q, 1), (q, 0)


def _interleaved(model: Lattice, mode: int) -> int:
    return 2 * (mode % model.n_sites) + mode // model.n_sites if model.is_spinful else mode


def _blocks(model: Lattice) -> list[np.ndarray]:
    """Return the occupations of each spin."""
    if model.n_configurations > _MOST_CONFIGURATIONS:
        raise InputError(
            f"{model.n_configurations:.2g} configurations do not fit: use exact_levels, which works in "
            "symmetry sectors, or a smaller lattice"
        )
    return [_occupations(model.n_sites, number) for number in model.particles]


def _occupations(n_sites: int, number: int) -> np.ndarray:
    count = comb(n_sites, number)
    # Combinations of mirrored sites, read backwards, are in the order of the integers of their bits.
    flat = chain.from_iterable(combinations(range(n_sites), number))
    chosen = np.fromiter(flat, dtype=np.int16, count=count * number).reshape(count, number)
    occupations = np.zeros((count, n_sites), dtype=np.uint8)
    np.put_along_axis(occupations, n_sites - 1 - chosen, 1, axis=1)
    return occupations[::-1].copy()


def _ranks(occupations: np.ndarray) -> np.ndarray:
    """Row of each configuration: sum over its sites p_0 < p_1 < ... of C(p_k, k + 1)."""
    n_sites = occupations.shape[1]
    number = int(occupations[0].sum()) if len(occupations) else 0
    table = np.array([[comb(site, k) for k in range(number + 1)] for site in range(n_sites)], dtype=np.int64)
    order = np.cumsum(occupations, axis=1, dtype=np.int64)
    return np.where(occupations == 1, table[np.arange(n_sites)[None, :], order], 0).sum(axis=1)


def _one_spin(occupations: np.ndarray, hopping: np.ndarray) -> scipy.sparse.csr_matrix:
    """sum_ij h_ij c+_i c_j among the configurations of one spin."""
    count = len(occupations)
    before = np.cumsum(occupations, axis=1, dtype=np.int64) - occupations
    rows, columns, values = [], [], []
    for i, j in np.argwhere(hopping).tolist():
        source = np.flatnonzero((occupations[:, j] == 1) & (occupations[:, i] == 0))
        moved = occupations[source].copy()
        moved[:, j], moved[:, i] = 0, 1
        jumped = before[source, i] - before[source, j] - (1 if i > j else 0)
        rows.append(_ranks(moved) if len(moved) else source)
        columns.append(source)
        values.append(np.where(jumped % 2 == 0, hopping[i, j], -hopping[i, j]))
    if not rows:
        return scipy.sparse.csr_matrix((count, count))
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return scipy.sparse.csr_matrix(entries, shape=(count, count))

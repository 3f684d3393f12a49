r"""Exact diagonalisation of lattice models in one symmetry sector: the reference for everything else.

Use `exact_levels(model, sector)`; `is_affordable` tells beforehand whether it fits. Lanczos on a sparse
matrix, for up to 2e6 states of a sector (a 4x4 Hubbard model at half filling in one irrep, 6x6 with 8
spinless particles in one momentum).

Basis: with P^{st} = d / |G'| sum_g conj(D_st(g)) U_g, the vectors P^{rs}|n>, s = 1 ... d, of one
representative n of every orbit span row r of the sector. Their overlaps <n|P^{ss'}|n> need only the elements
that leave n alone, and are diagonalised orbit by orbit (states that vanish drop out). Since U_X |m> = F |n>
makes P^{rs}|m> = F sum_t conj(D_ts(X)) P^{rt}|n>, each row of H follows from the configurations m it reaches.
"""

from dataclasses import dataclass, field
from math import comb
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse
from scipy.sparse.linalg import LinearOperator, eigsh

from hamiltonians.errors import InputError, whole_number
from hamiltonians.lattice.model import Lattice
from hamiltonians.lattice.sector import Sector

if TYPE_CHECKING:
    from hamiltonians.lattice.exact_kernels import States, Tables

_MOST_STATES = 2_000_000  # of a sector; H then fills 1 to 2 GB
_MOST_ONE_SPIN = 32_000_000  # configurations of one spin, whose orbits are tabulated
_MOST_EXPANDED = 20_000_000  # configurations of a vector without symmetry
_DENSE = 500  # states up to which all eigenvalues are computed
_CHUNK = 20_000  # representatives whose rows are computed together


@dataclass(frozen=True, eq=False)
class ExactLevels:
    """Lowest levels of one sector. Energies are exact to about 1e-11 |E|, in units of t."""

    model: Lattice
    """The lattice that was diagonalised."""
    sector: Sector | None
    """The sector; None for the whole Hilbert space."""
    energies: np.ndarray
    """(k,) ascending; fewer than asked where the sector has fewer states. Each stands for
    `sector.degeneracy` levels of the whole spectrum."""
    vectors: np.ndarray
    """(n_states, k) orthonormal, in the basis of the sector."""
    basis: "SectorBasis" = field(repr=False)
    """The basis of the sector."""

    def full_vectors(self, row: int | None = None) -> np.ndarray:
        """Return the states on all configurations, (n_configurations, k) in `lattice_configurations` order.

        Args:
            row: Row of the irrep they belong to; by default the sector's, or the first.

        Raises:
            InputError: More than 2e7 configurations.
        """
        return self.basis.expand(self.vectors, row)


@dataclass(frozen=True, eq=False)
class SectorBasis:
    """Representatives of the orbits, and what turns them into orthonormal states of a sector."""

    model: Lattice
    """The model."""
    sector: Sector | None
    """The sector."""
    tables: "Tables"
    """Configurations, group and orbits of one spin."""
    states: "States"
    """Representatives of both spins, and what is made of them."""

    @property
    def n_states(self) -> int:
        """Size of the basis."""
        return int(self.states.offsets[-1])

    @property
    def is_real(self) -> bool:
        """True where H is real in this basis."""
        real = self.sector is None or self.sector.is_real
        return real and not np.iscomplexobj(self.model.hopping)

    def matrix(self) -> scipy.sparse.csr_matrix:
        """Return H in this basis, (n_states, n_states); entries may be stored in parts, to be summed."""
        from hamiltonians.lattice.exact_kernels import Couplings, fill_rows

        if self.n_states == 0:
            return scipy.sparse.csr_matrix((0, 0))
        hopping, dimension = self.model.hopping, self.states.vectors[0].shape[1]
        bonds = np.argwhere(hopping)
        amplitudes = hopping[tuple(bonds.T)].astype(complex)
        couplings = Couplings(bonds, amplitudes, self.model.repulsion, self.model.U)
        most = dimension * (1 + len(self.model.particles) * len(bonds) * dimension)
        values, indices, ends = [], [], [np.zeros(1, dtype=np.int64)]
        for first in range(0, len(self.states.pairs), _CHUNK):
            last = min(first + _CHUNK, len(self.states.pairs))
            row_ends = np.zeros(self.states.offsets[last] - self.states.offsets[first], dtype=np.int64)
            columns = np.empty((last - first) * most, dtype=np.int32)
            elements = np.empty((last - first) * most, dtype=complex)
            used = fill_rows(first, last, self.tables, self.states, couplings, row_ends, columns, elements)
            values.append(elements[:used].real.copy() if self.is_real else elements[:used].copy())
            indices.append(columns[:used].copy())
            ends.append(row_ends + ends[-1][-1])
        data = np.concatenate(values)
        del values
        arrays = (data, np.concatenate(indices), np.concatenate(ends))
        return scipy.sparse.csr_matrix(arrays, shape=(self.n_states,) * 2)

    def expand(self, vectors: np.ndarray, row: int | None = None) -> np.ndarray:
        """Return vectors (n_states, k) of the sector on all configurations, (n_configurations, k).

        Raises:
            InputError: More than 2e7 configurations, or no such row.
        """
        from hamiltonians.lattice.exact_kernels import expand_vectors

        count, dimension = self.model.n_configurations, self.states.vectors[0].shape[1]
        if count > _MOST_EXPANDED:
            raise InputError(f"{count:.2g} configurations do not fit: keep the states in their sector")
        chosen = self.sector.row if row is None and self.sector is not None else row
        chosen = 0 if chosen is None else chosen
        if not 0 <= chosen < dimension:
            raise InputError(f"row {chosen}: give 0 to {dimension - 1}")
        out = np.zeros((count, vectors.shape[1]), dtype=complex)
        expand_vectors(vectors.astype(complex), chosen, self.tables, self.states, out)
        return out.real.copy() if self.is_real and not np.iscomplexobj(vectors) else out


def exact_levels(model: Lattice, sector: Sector | None = None, k: int = 1) -> ExactLevels:
    """Return the k lowest levels of a sector, or of the whole Hilbert space.

    For an irrep of dimension above 1 one row is diagonalised: a level is listed once, not d times.

    Args:
        model: The model.
        sector: Sector of its space group (or of that of a model with other couplings).
        k: Number of levels.

    Raises:
        InputError: It does not fit, the sector is of another lattice, or k is below 1.
    """
    if whole_number(k, "k") < 1:
        raise InputError(f"k = {k}: give at least one level")
    basis = sector_basis(model, sector)
    energies, vectors = _lowest(basis.matrix(), min(int(k), basis.n_states))
    return ExactLevels(model, sector, energies, vectors, basis)


def is_affordable(model: Lattice, sector: Sector | None = None) -> bool:
    """Return whether `exact_levels` takes it: at most 2e6 states, and 3.2e7 configurations of one spin."""
    return not _obstacle(model, sector)


def sector_basis(model: Lattice, sector: Sector | None = None) -> SectorBasis:
    """Return the orthonormal basis of a sector, or of the whole space.

    Raises:
        InputError: It does not fit, or the sector is of another lattice.
    """
    from hamiltonians.lattice import exact_kernels as kernels

    if sector is not None and (
        sector.permutations.shape[1] != model.n_sites or sector.particles != model.particles
    ):
        raise InputError(f"sector {sector.label} is of another lattice or filling than {model}")
    obstacle = _obstacle(model, sector)
    if obstacle:
        raise InputError(obstacle)
    group, flip = _group_arrays(model, sector)
    size, numbers = model.n_sites, (*model.particles, 0)[:2]
    binomial = np.array([[comb(s, k) for k in range(max(numbers) + 1)] for s in range(size)], dtype=np.int64)
    up_masks, down_masks = (kernels.all_masks(comb(size, number), number) for number in numbers)
    orbit_of, element_of, firsts, *stabilisers = kernels.one_spin_orbits(
        up_masks, group[0], group[1], binomial
    )
    orbits = (orbit_of, element_of, *stabilisers)
    tables = kernels.Tables(up_masks, down_masks, firsts, group, orbits, binomial, flip)
    # Where nothing but the identity keeps the up block, every down block is a representative.
    plain = (np.diff(stabilisers[0]) == 1) | (len(down_masks) == 1)
    shared = np.arange(len(firsts)) if flip else np.where(plain, -1, np.cumsum(~plain) - 1)
    positions = np.full((int(shared.max(initial=-1)) + 1, len(down_masks)), -1, dtype=np.int32)
    starts = kernels.count_representatives(tables, positions, shared)
    pairs = np.empty((starts[-1], 2), dtype=np.int32)
    kernels.list_representatives(starts, shared, positions, len(down_masks), pairs)
    grams = kernels.gram_matrices(pairs, tables)
    coefficients, duals, counts = _orthonormal(grams)
    lookup = (starts, shared, positions)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    states = kernels.States(pairs, lookup, (coefficients, duals), offsets)
    return SectorBasis(model, sector, tables, states)


def _obstacle(model: Lattice, sector: Sector | None) -> str:
    """Why a sector cannot be diagonalised, or an empty text."""
    n_states = model.n_configurations if sector is None else sector.n_states
    if model.n_sites > 63:
        return f"exact diagonalisation of {model.n_sites} sites: give at most 63"
    if n_states > _MOST_STATES:
        return f"{n_states:.3g} states are too many for exact diagonalisation: give a sector of at most 2e6"
    if comb(model.n_sites, model.particles[0]) > _MOST_ONE_SPIN:
        return (
            f"{comb(model.n_sites, model.particles[0]):.3g} configurations of one spin are too many for "
            "exact diagonalisation: give at most 3.2e7"
        )
    return ""


def _group_arrays(model: Lattice, sector: Sector | None) -> tuple[tuple[np.ndarray, ...], int]:
    """Permutations, phases, inverse permutations and phases, representation; parity of spin flip or 0."""
    if sector is None:
        permutations = np.arange(model.n_sites)[None]
        phases = np.ones((1, model.n_sites), dtype=complex)
        return (permutations, phases, permutations, phases, np.ones((1, 1, 1), dtype=complex)), 0
    spatial = ~sector.spin_flips
    permutations = sector.permutations[spatial]
    phases = sector.phases[spatial].astype(complex)
    inverse = np.argsort(permutations, axis=1)
    inverse_phases = np.take_along_axis(phases, inverse, axis=1).conj()
    representation = sector.representation[spatial].astype(complex)
    return (permutations, phases, inverse, inverse_phases, representation), sector.spin_flip or 0


def _orthonormal(grams: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A and A^+ Gram, with the states in front, and the number of states of each representative."""
    if grams.shape[1] == 1:
        values, rotations = grams.real[:, 0], np.ones_like(grams)
    else:
        real = not np.any(grams.imag)
        values, rotations = np.linalg.eigh(grams.real if real else grams)
        values, rotations = values[:, ::-1], rotations[:, :, ::-1]
    present = values > 1e-9
    lengths = np.sqrt(np.where(present, values, 1.0))
    coefficients = np.where(present[:, None], rotations / lengths[:, None], 0.0).astype(complex)
    duals = np.where(present[:, None], rotations * lengths[:, None], 0.0).conj().swapaxes(1, 2)
    return coefficients, np.ascontiguousarray(duals.astype(complex)), present.sum(axis=1)


def _lowest(matrix: scipy.sparse.csr_matrix, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k lowest eigenvalues and eigenvectors."""
    size = matrix.shape[0]
    if size <= max(_DENSE, 4 * k):
        values, vectors = np.linalg.eigh(matrix.toarray())
        return values[:k], vectors[:, :k]
    rng = np.random.default_rng(size)
    values, vectors = _lanczos(matrix, k, rng)
    # Lanczos sees one state of a degenerate level: what was missed lies orthogonal to what was found.
    while k > 1:
        shift = 2 * float(np.abs(values).max()) + 100.0
        found = vectors

        def apply(x: np.ndarray, found: np.ndarray = found, shift: float = shift) -> np.ndarray:
            return matrix @ x + shift * (found @ (found.conj().T @ x))

        rest = LinearOperator((size, size), matvec=apply, dtype=matrix.dtype)
        value, vector = _lanczos(rest, 1, rng)
        if value[0] > values[-1] - 1e-9:
            break
        values, vectors = _rayleigh_ritz(matrix, np.column_stack([vectors, vector]), k)
    return values, vectors


def _lanczos(
    matrix: scipy.sparse.csr_matrix | LinearOperator, k: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    size = matrix.shape[0]
    start = rng.normal(size=size)
    # More vectors need fewer products; large sectors have no room for them.
    kept = min(size - 1, 2 * k + 20 if size > 300_000 else 4 * k + 40)
    values, vectors = eigsh(matrix, k=k, which="SA", v0=start.astype(matrix.dtype), ncv=kept, tol=1e-11)
    order = np.argsort(values)
    return values[order], vectors[:, order]


def _rayleigh_ritz(
    matrix: scipy.sparse.csr_matrix, vectors: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    vectors = np.linalg.qr(vectors)[0]
    values, rotation = np.linalg.eigh(vectors.conj().T @ (matrix @ vectors))
    return values[:k], vectors @ rotation[:, :k]

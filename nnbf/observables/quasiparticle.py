r"""Matrix elements of taking one fermion out of a lattice state: quasiparticle weights.

With orbitals :math:`\phi` of one particle, :math:`c_\phi = \sum_i \phi_i^* c_i`; for the plane waves
:math:`\phi_i = N_s^{-1/2} e^{ik \cdot r_i}` this is :math:`c_k = N_s^{-1/2} \sum_i e^{-ik \cdot r_i} c_i`,
which lowers the momentum by k. The weight of removal is :math:`|\langle N-1, b | c_k | N, a \rangle|^2`.
That of addition, :math:`|\langle N+1, b | c_k^\dagger | N, a \rangle|^2 = |\langle N, a | c_k | N+1, b
\rangle|^2`, is the same function with (N+1, b) as the larger state and (N, a) as the smaller one.

Momenta are whole numbers m of a single particle, k = 2 pi (m + f) / L with f the twist, so that those of
states and particles add up: m of (N, a) is that of (N-1, b) plus that of c_k, modulo L
(`hamiltonians.space_group`).
"""

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse

from hamiltonians import InputError, Lattice, lattice_configurations, space_group
from hamiltonians.lattice.sector import Momentum, move_configurations
from nnbf.ansatz import orbitals as lattice_orbitals
from nnbf.determinants import build_hash_table, find_rows
from nnbf.determinants.configurations import pack_modes
from nnbf.determinants.hashing import first_rows, merge_equal
from nnbf.estimate import Estimate
from nnbf.observables.weighted_configurations import LogPsi, require_enumerable


def with_changed_filling(model: Lattice, change: int, spin: int = 0) -> Lattice:
    """Return the model with particles of one spin (0 up, 1 down) added or taken away.

    Raises:
        InputError: The lattice has no such spin, or no room or no particle for it.
    """
    if not 0 <= spin < len(model.particles):
        raise InputError(
            f"spin {spin}: give {'0 (up) or 1 (down)' if model.is_spinful else '0, there is one'}"
        )
    particles = list(model.particles)
    particles[spin] += change
    return replace(model, particles=tuple(particles))


def one_particle(model: Lattice) -> Lattice:
    """Return the model with a single particle: its momenta are those of c_k."""
    return replace(model, particles=(1, 0)[: len(model.particles)])


def momentum_extents(model: Lattice) -> tuple[int, int]:
    """Return the number of momenta of each direction: L, or 1 where it is open."""
    first, second = (L if closed else 1 for L, closed in zip(model.size, model.periodic, strict=True))
    return first, second


def particle_momentum(model: Lattice, momentum: Momentum) -> Momentum:
    """Return the momentum of a particle as whole numbers from 0 to L - 1.

    Raises:
        InputError: It is not on the lattice.
    """
    extents = momentum_extents(model)
    if not all(isinstance(m, int) and 0 <= m < extent for m, extent in zip(momentum, extents)):
        space_group(one_particle(model)).wave_vector(momentum)  # refuses what is not a momentum
    return momentum[0] % extents[0], momentum[1] % extents[1]


def plane_wave(model: Lattice, momentum: Momentum) -> np.ndarray:
    """Return (n_sites,) N_s^{-1/2} e^{ik.r} with the positions r of unit cells, twist included.

    All sites of a cell have the same phase. Along an open direction there is momentum 0 only.

    Raises:
        InputError: The momentum is not on the lattice.
    """
    return lattice_orbitals.plane_wave(model, particle_momentum(model, momentum)) / np.sqrt(model.n_sites)


class ConfigurationTable:
    """All configurations of a model, in the order of `lattice_configurations`, and where each one is."""

    def __init__(self, model: Lattice):
        """List them.

        Raises:
            InputError: There are more than 500,000.
        """
        require_enumerable(model)
        self.model = model
        """The model."""
        self.occupations = lattice_configurations(model)
        """(n, modes) uint8."""
        self._keys = pack_modes(self.occupations)
        self._slots = build_hash_table(self._keys)

    def __len__(self) -> int:
        return len(self.occupations)

    def rows(self, occupations: np.ndarray) -> np.ndarray:
        """Return the numbers (m,) of configurations (m, modes)."""
        return find_rows(self._slots, self._keys, pack_modes(occupations))

    def vector(self, log_psi: LogPsi) -> np.ndarray:
        """Return a state on all configurations, (n,) complex, normalised.

        Raises:
            FloatingPointError: Amplitudes are not numbers, or all are zero.
        """
        logarithms = np.asarray(log_psi(self.occupations), dtype=complex)
        largest = logarithms.real.max()
        if not np.isfinite(largest) or np.any(np.isnan(logarithms)):
            raise FloatingPointError("amplitudes of the state are not finite")
        psi = np.exp(logarithms - largest)
        return psi / np.linalg.norm(psi)

    def moved(self, vector: np.ndarray, permutation: np.ndarray, phases: np.ndarray) -> np.ndarray:
        """Return U_g psi for a permutation of sites with phases, (n,)."""
        images, factors = move_configurations(self.occupations, permutation, phases)
        out = np.zeros(len(self), dtype=complex)
        out[self.rows(images)] = factors * vector
        return out


class Removal:
    """The operators c_i of one spin, from all configurations of N particles to those of N - 1."""

    def __init__(self, larger: ConfigurationTable, smaller: ConfigurationTable, spin: int = 0):
        """Tabulate the elements.

        Args:
            larger: Configurations of N particles.
            smaller: Those with one particle of this spin less.
            spin: 0 for up (and for spinless fermions), 1 for down.

        Raises:
            InputError: The two do not differ by one particle of this spin.
        """
        if with_changed_filling(larger.model, -1, spin) != smaller.model:
            raise InputError(f"{smaller.model} is not {larger.model} with one particle less")
        self._shape = (len(smaller), len(larger))
        rows, columns, sites, signs = [], [], [], []
        for site in range(larger.model.n_sites):
            mode = spin * larger.model.n_sites + site
            source = np.flatnonzero(larger.occupations[:, mode])
            left = larger.occupations[source]
            signs.append(_signs(left, mode))
            left[:, mode] = 0
            rows.append(smaller.rows(left))
            columns.append(source)
            sites.append(np.full(len(source), site))
        self._places = np.concatenate(rows), np.concatenate(columns)
        self._sites, self._signs = np.concatenate(sites), np.concatenate(signs)

    def matrix(self, orbital: np.ndarray) -> scipy.sparse.csr_matrix:
        """Return sum_i conj(phi_i) c_i for an orbital (n_sites,), as (n_smaller, n_larger)."""
        values = self._signs * np.conj(orbital)[self._sites]
        return scipy.sparse.csr_matrix((values, self._places), shape=self._shape)


@dataclass(frozen=True, eq=False)
class SampledWave:
    """A state that is known by its amplitudes and by samples of |psi|^2."""

    log_psi: LogPsi
    """log psi of any configurations."""
    samples: np.ndarray
    """(chains, length, modes) occupations; chains are independent of each other."""

    def __post_init__(self):
        if np.ndim(self.samples) != 3 or len(self.samples) < 2:
            raise ValueError(
                f"samples must have shape (chains, length, modes) with 2 chains at least, got "
                f"{np.shape(self.samples)}"
            )


def sampled_weight(
    model: Lattice, momentum: Momentum, larger: SampledWave, smaller: SampledWave, *, spin: int = 0
) -> Estimate:
    r"""Return |<smaller|c_k|larger>|^2 from samples of both states, whose norms are not needed.

    .. math:: Z = \Big\langle \frac{\langle n|c_k^\dagger|\psi_{N-1}\rangle}{\langle n|\psi_N\rangle}
        \Big\rangle_{n \sim |\psi_N|^2} \Big\langle \frac{\langle m|c_k|\psi_N\rangle}
        {\langle m|\psi_{N-1}\rangle} \Big\rangle_{m \sim |\psi_{N-1}|^2}

    The two averages are independent, so that the product is unbiased; it may come out below 0. The error is
    that of the means of whole chains, the product of the two deviations included (it is what is left where
    Z = 0). Ratios are large where one state has a node and the other has none: compare chains.

    Args:
        model: The model of the larger state.
        momentum: Of the particle, whole numbers.
        larger: The state with N particles.
        smaller: The one with a particle of this spin less.
        spin: 0 for up (and for spinless fermions), 1 for down.

    Raises:
        InputError: No such momentum or spin, or no particle to remove.
        FloatingPointError: Ratios of amplitudes are not finite.
    """
    with_changed_filling(model, -1, spin)
    orbital = plane_wave(model, momentum)
    modes = slice(spin * model.n_sites, (spin + 1) * model.n_sites)
    taken = _Ratios(larger, smaller.log_psi, orbital, modes, occupied=True)
    added = _Ratios(smaller, larger.log_psi, orbital.conj(), modes, occupied=False)
    # A factor of either state drops out of the product: take it out of both before it overflows.
    shift = taken.typical_log
    return _product_of_means(taken.chain_means(-shift), added.chain_means(shift))


class _Ratios:
    """<n|c^+ or c|other> / <n|own> on the samples of a state."""

    def __init__(self, own: SampledWave, other: LogPsi, coefficients, modes: slice, occupied: bool):
        rows = np.asarray(own.samples).reshape(-1, own.samples.shape[-1]).astype(np.uint8)
        self._shape = own.samples.shape[:2]
        keys, self._of_sample = merge_equal(pack_modes(rows))
        self._count = len(keys)
        distinct = rows[first_rows(self._of_sample, self._count)]
        self._row, sites = np.nonzero(distinct[:, modes] == occupied)
        changed = distinct[self._row]
        mode = modes.start + sites
        changed[np.arange(len(mode)), mode] ^= 1
        below = np.cumsum(distinct, axis=1, dtype=np.int64)[self._row, mode] - occupied
        self._factors = np.where(below % 2 == 0, 1.0, -1.0) * coefficients[sites]
        targets, of_target = merge_equal(pack_modes(changed))
        any_of = np.zeros(len(targets), np.int64)
        any_of[of_target] = np.arange(len(changed))
        log_other = np.asarray(other(changed[any_of]), dtype=complex)[of_target]
        self._logs = log_other - np.asarray(own.log_psi(distinct), dtype=complex)[self._row]

    @property
    def typical_log(self) -> float:
        """Median logarithm of the ratios that are not 0."""
        logs = self._logs.real[np.isfinite(self._logs.real)]
        return float(np.median(logs)) if len(logs) else 0.0

    def chain_means(self, shift: float) -> np.ndarray:
        """Mean over each chain, (chains,), of the ratios times e^shift."""
        terms = self._factors * np.exp(self._logs + shift)
        local = np.zeros(self._count, complex)
        np.add.at(local, self._row, terms)
        if not np.all(np.isfinite(local)):
            raise FloatingPointError("ratios of amplitudes are not finite")
        return local[self._of_sample].reshape(self._shape).mean(axis=1)


def _product_of_means(first: np.ndarray, second: np.ndarray) -> Estimate:
    """Re(A B) of two independent sets of chain means, with the jackknife's error."""
    a, b = first.mean(), second.mean()
    da, db = first - a, second - b
    n, m = len(first), len(second)
    variance = np.sum((da * b).real ** 2) / (n * (n - 1)) + np.sum((a * db).real ** 2) / (m * (m - 1))
    variance += np.sum(np.outer(da, db).real ** 2) / (n * (n - 1) * m * (m - 1))
    return Estimate(float((a * b).real), float(np.sqrt(variance)), "vmc", "")


def _signs(occupations: np.ndarray, mode: int) -> np.ndarray:
    """(n,) parity of the occupied modes below one."""
    return 1.0 - 2.0 * (occupations[:, :mode].sum(axis=1, dtype=np.int64) % 2)

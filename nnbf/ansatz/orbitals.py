"""Orbitals of lattice fermions with a unit cell of one site, of a few, or of the whole lattice."""

from dataclasses import dataclass

import numpy as np
from netket.utils import HashableArray

from hamiltonians.errors import InputError
from hamiltonians.lattice.model import Lattice
from nnbf.ansatz.free_determinants import Band, lowest_fillings
from nnbf.ansatz.registry import register_ansatz
from nnbf.ansatz.symmetric_fillings import independent_in_sector
from nnbf.ansatz.symmetry import SymmetryElements

#: Fillings that are looked through for some of a total spin: a spin that is there only far up is not found.
_MOST_CANDIDATES = 2048
#: Determinants of an open shell that are taken by default.
MOST_DETERMINANTS = 4


@register_ansatz("lattice_orbitals")
@dataclass(frozen=True)
class LatticeOrbitals:
    r"""Orbitals of one spin, as plane waves times amplitudes that repeat from cell to cell.

    .. math:: M_{\mu i} = E_{\mu i} u_{\mu, c(i)}, \quad E_{\mu i} = e^{i k_\mu \cdot r_i}

    with c(i) the place of site i in its cell. A cell of one site has nothing but phases: one determinant of
    such orbitals, with any equivariant backflow, has momentum :math:`\sum_\mu k_\mu` exactly. A cell as large
    as the lattice, with E = 1, holds any orbitals.

    Real orbitals are kept as complex channels as well: the first ones, with real E and u, give one orbital
    each; the last ``n_pairs`` give two, their real and imaginary parts. Those stand for k and -k, and their
    determinant is real and has the momentum of the rest.
    """

    envelope: HashableArray
    """E (D, channels, n_sites) of D determinants; real if there are no pairs and all phases are."""
    amplitudes: HashableArray
    """Initial u (D, channels, sites of a cell)."""
    places: HashableArray
    """c (n_sites,), whole numbers from 0."""
    is_real: bool
    """True where the determinant is real."""
    n_pairs: int = 0
    """How many of the channels are pairs k, -k; they come last."""
    trainable: bool = True
    """True where u is varied."""

    def __post_init__(self):
        n_sets, channels, n_sites = np.asarray(self.envelope).shape
        places = np.asarray(self.places)
        if places.shape != (n_sites,):
            raise ValueError(f"places must have shape ({n_sites},), got {places.shape}")
        expected = (n_sets, channels, int(places.max()) + 1)
        if np.asarray(self.amplitudes).shape != expected:
            raise ValueError(
                f"amplitudes must have shape {expected}, got {np.asarray(self.amplitudes).shape}"
            )
        if self.n_pairs and not self.is_real:
            raise ValueError("pairs are for real orbitals: complex ones are channels of their own")

    @property
    def n_determinants(self) -> int:
        """Determinants D."""
        return np.asarray(self.envelope).shape[0]

    @property
    def n_channels(self) -> int:
        """Complex (or real) numbers that make up the orbitals at one site."""
        return np.asarray(self.envelope).shape[1]

    @property
    def n_sites(self) -> int:
        """Sites of the lattice."""
        return np.asarray(self.envelope).shape[2]

    @property
    def n_particles(self) -> int:
        """Orbitals, as many as particles."""
        return self.n_channels + self.n_pairs

    @property
    def initial_rows(self) -> np.ndarray:
        """(D, N, n_sites) orthonormal orbitals at the start."""
        matrices = np.asarray(self.envelope) * np.asarray(self.amplitudes)[:, :, np.asarray(self.places)]
        if self.n_pairs:
            single, pairs = np.split(matrices, [self.n_channels - self.n_pairs], axis=1)
            matrices = np.concatenate([single.real, pairs.real, pairs.imag], axis=1)
        return np.linalg.qr(matrices.swapaxes(1, 2))[0].swapaxes(1, 2)

    @property
    def n_complex(self) -> int:
        """Channels, the last ones, with a real and an imaginary part."""
        return self.n_pairs if self.is_real else self.n_channels


def given_orbitals(matrices: np.ndarray) -> LatticeOrbitals:
    """Return whole-lattice orbitals that start at given ones, as from Hartree-Fock.

    Args:
        matrices: (N, n_sites), or (D, N, n_sites) for a sum of D determinants, real or complex.
    """
    matrices = np.asarray(matrices)
    if matrices.ndim == 2:
        matrices = matrices[None]
    if matrices.ndim != 3 or matrices.shape[1] > matrices.shape[2]:
        raise ValueError(
            f"orbitals must have shape (N, n_sites) with N <= n_sites, got {matrices.shape[-2:]}"
        )
    return LatticeOrbitals(
        HashableArray(np.ones(matrices.shape)),
        HashableArray(matrices),
        HashableArray(np.arange(matrices.shape[2])),
        is_real=not np.iscomplexobj(matrices),
    )


def free_orbitals(
    model: Lattice,
    momentum: tuple[int, int] | None = None,
    *,
    cell: tuple[int, int] = (1, 1),
    n_determinants: int | None = 1,
    real: bool | None = None,
    symmetry: SymmetryElements | None = None,
    total_spin: float | None = None,
) -> tuple[LatticeOrbitals, ...]:
    """Return the orbitals of free fermions, lowest in energy at a total momentum; one entry for each spin.

    Args:
        model: The lattice, its hopping, boundary and particles; the interaction plays no part.
        momentum: Total momentum (mx, my) in units of 2 pi / L, modulo L, as in `hamiltonians.space_group`:
            in a twist theta N particles have N theta / L more. Default: the one of the lowest energy. With an
            open boundary the orbitals are those of the lowest energy, and a projection makes the momentum.
        cell: Cells in the unit cell of the orbitals: (1, 1) for plane waves, the size of the lattice for
            free orbitals, or what an order needs between.
        n_determinants: How many fillings of that momentum to add up, from the lowest in energy. None: all
            that share the lowest energy, as in an open shell, but at most `MOST_DETERMINANTS`.
        real: True for real orbitals, which need the filled momenta in pairs k, -k; False for complex ones;
            None for real where possible.
        symmetry: Projector of a sector; fillings that have no part in it, or none that is new, are left out.
        total_spin: With ``symmetry``: the total spin that they are projected on as well.

    Raises:
        InputError: The momentum has too few fillings, the cell does not fit, or real orbitals are not
            possible.
    """
    if _has_open_end(model):
        return _open(model, cell, n_determinants or 1)
    if any(c < 1 or extent % c for c, extent in zip(cell, model.size, strict=True)):
        raise InputError(f"unit cell {cell[0]}x{cell[1]} does not divide the {model.size[0]}x{model.size[1]}")
    bands = _bands(model)
    if momentum is not None:
        momentum = (momentum[0] % model.size[0], momentum[1] % model.size[1])
    fillings = _chosen_fillings(model, bands, momentum, n_determinants, symmetry, total_spin)
    where = "" if momentum is None else f"of momentum ({momentum[0]},{momentum[1]}) "
    if not fillings and total_spin is not None:
        raise InputError(f"no low filling {where}of free electrons has a part of total spin {total_spin:g}")
    if n_determinants is not None and len(fillings) < n_determinants:
        raise InputError(f"{n_determinants} determinants: there are {len(fillings)} fillings {where}in all")
    sets = [[filling[spin] for filling in fillings] for spin in range(len(model.particles))]
    return tuple(_from_fillings(model, bands, fillings_of, cell, real) for fillings_of in sets)


def lowest_momentum(model: Lattice) -> tuple[int, int]:
    """Return the total momentum of a lowest filling of free particles, modulo L; (0, 0) along open ends."""
    if _has_open_end(model):
        return 0, 0
    bands = _bands(model)
    (filling,) = lowest_fillings(bands, model.size, model.particles, None, 1)
    momenta = np.array([bands[i].momentum for spin in filling for i in spin]).reshape(-1, 2)
    first, second = momenta.sum(axis=0) % np.array(model.size)
    return int(first), int(second)


def plane_wave(model: Lattice, whole: tuple[int, int]) -> np.ndarray:
    """Phases (n_sites,) of a plane wave of momentum 2 pi (m + flux) / L, the same on all sites of a cell."""
    turns = sum(
        (m + flux) * model.cells[:, axis] / model.size[axis]
        for axis, (m, flux) in enumerate(zip(whole, model.flux, strict=True))
    )
    wave = np.exp(2j * np.pi * turns)
    # Quarter turns without rounding errors: phases of +-1 decide whether orbitals are real.
    quarters = np.rint(4 * turns)
    exact = np.array([1, 1j, -1, -1j])[quarters.astype(int) % 4]
    return np.where(np.abs(4 * turns - quarters) < 1e-9, exact, wave)


def _chosen_fillings(model, bands, momentum, n_determinants, symmetry, total_spin):
    """Fillings from the lowest in energy that have a part in a sector; all of one energy for None."""
    wanted = MOST_DETERMINANTS if n_determinants is None else n_determinants
    count = wanted if symmetry is None else 16 + 8 * wanted
    while True:
        found = lowest_fillings(bands, model.size, model.particles, momentum, count)
        exhausted = len(found) < count
        if symmetry is not None:
            orbitals = [[_rows(model, bands, indices) for indices in filling] for filling in found]
            chosen = independent_in_sector(orbitals, symmetry, wanted, total_spin)
            found = [found[number] for number in chosen]
        searched = exhausted or (total_spin is not None and count > _MOST_CANDIDATES)
        if len(found) >= wanted or searched or (n_determinants is None and found):
            break
        count *= 4
    if n_determinants is None and found:
        energies = [sum(bands[i].energy for spin in filling for i in spin) for filling in found]
        found = [f for f, energy in zip(found, energies, strict=True) if energy < energies[0] + 1e-9]
    return found


def _rows(model, bands, indices):
    """Orthonormal orbitals (N, n_sites) of filled states."""
    rows = [plane_wave(model, bands[i].momentum) * bands[i].vector[model.sublattices] for i in indices]
    return np.array(rows).reshape(len(indices), model.n_sites) / np.sqrt(model.n_sites)


def _has_open_end(model):
    return any(extent > 1 and not closed for extent, closed in zip(model.size, model.periodic, strict=True))


def _open(model, cell, n_determinants):
    if n_determinants != 1 or tuple(cell) not in ((1, 1), tuple(model.size)):
        raise InputError("with an open boundary there is one determinant of whole-lattice orbitals")
    vectors = np.linalg.eigh(model.hopping)[1]
    return tuple(given_orbitals(vectors[:, :number].T) for number in model.particles)


def _bands(model: Lattice) -> list[Band]:
    """All states of one free particle: whole-number momentum, energy, amplitudes on the sites of a cell."""
    n_basis = model.lattice.n_basis
    blocks = np.asarray(model.hopping)[:n_basis].reshape(n_basis, model.n_cells, n_basis)
    bands = []
    for m1 in range(model.size[0]):
        for m2 in range(model.size[1]):
            wave = plane_wave(model, (m1, m2)).reshape(model.n_cells, n_basis)[:, 0]
            matrix = np.einsum("brc,r->bc", blocks, wave)
            if np.abs(wave.imag).max() == 0.0 and np.abs(matrix.imag).max() < 1e-12:
                matrix = matrix.real
            energies, vectors = np.linalg.eigh(matrix)
            for band in range(n_basis):
                # The largest component real and positive, so that k and -k are conjugates.
                vector = vectors[:, band]
                top = np.argmax(np.abs(vector) > 0.99 * np.abs(vector).max())
                vector = vector * np.abs(vector[top]) / vector[top] * np.sqrt(n_basis)
                bands.append(Band((m1, m2), band, float(energies[band]), vector))
    return bands


def _from_fillings(model, bands, fillings, cell, real):
    split = [_pairs(model, bands, filling) for filling in fillings]
    possible = all(parts is not None for parts in split) and len({len(p[1]) for p in split if p}) == 1
    if real and not possible:
        raise InputError("these filled momenta do not come in pairs k, -k: the orbitals must be complex")
    is_real = possible if real is None else real
    chosen = [[*parts[0], *parts[1]] for parts in split] if is_real else fillings
    n_pairs = len(split[0][1]) if is_real else 0
    n_basis = model.lattice.n_basis
    places = (model.cells[:, 0] % cell[0]) * cell[1] + model.cells[:, 1] % cell[1]
    places = places * n_basis + model.sublattices
    n_places = cell[0] * cell[1] * n_basis
    shape = (len(chosen), len(chosen[0]))
    envelope = np.zeros((*shape, model.n_sites), dtype=complex)
    amplitudes = np.zeros((*shape, n_places), dtype=complex)
    for d, filling in enumerate(chosen):
        for channel, index in enumerate(filling):
            envelope[d, channel] = plane_wave(model, bands[index].momentum)
            amplitudes[d, channel] = np.tile(bands[index].vector, n_places // n_basis)
    if is_real and not n_pairs:
        envelope, amplitudes = envelope.real, amplitudes.real
    return LatticeOrbitals(
        HashableArray(envelope),
        HashableArray(amplitudes),
        HashableArray(places),
        is_real,
        n_pairs,
        trainable=n_places > 1,
    )


def _pairs(model, bands, filling):
    """Split filled states into those that are their own conjugate and one of every pair, or None."""
    index = {(bands[i].momentum, bands[i].band): i for i in filling}
    single, pairs = [], []
    offsets = [round(2 * flux) for flux in model.flux]
    if any(abs(2 * flux - o) > 1e-12 for flux, o in zip(model.flux, offsets, strict=True)):
        return None
    for (momentum, band), i in index.items():
        opposite = tuple(
            (-m - o) % extent for m, o, extent in zip(momentum, offsets, model.size, strict=True)
        )
        partner = index.get((opposite, band))
        if partner is None:
            return None
        if partner == i:
            single.append(i)
        elif partner > i:
            pairs.append(i)
    return single, pairs

"""Orbitals of an antiferromagnet on two sublattices."""

import numpy as np
from netket.utils import HashableArray

from hamiltonians.lattice.model import Lattice
from nnbf.ansatz.orbitals import LatticeOrbitals, plane_wave

_MOST_ITERATIONS, _SETTLED = 200, 1e-10


def staggered_orbitals(model: Lattice) -> tuple[LatticeOrbitals, LatticeOrbitals] | None:
    r"""Return Hartree-Fock orbitals of both spins in a staggered field, at half filling.

    .. math:: F^\sigma = h - \sigma \Delta \sum_i (-1)^{c(i)} n_i, \qquad \Delta = U m

    with colours c of a bipartite lattice and the staggered magnetisation m that the orbitals have. They are
    plane waves times an amplitude for each colour: a translation that keeps the colours changes their
    determinant by no more than a factor, and those that exchange the colours leave two terms of a projection.

    Returns:
        Orbitals of spin up and down, all of the lower band; None where the model has no such state: it is not
        `Lattice.is_half_filled_bipartite`, or has an open end.
    """
    colours = model.two_colouring
    if colours is None or not (model.is_half_filled_bipartite and all(model.periodic)):
        return None
    momenta = _reduced_zone(model, colours)
    if momenta is None:
        return None
    waves = np.array([[plane_wave(model, k) * (colours == c) for c in (0, 1)] for k in momenta])
    waves *= np.sqrt(2 / model.n_sites)
    bands = np.einsum("kci,ij,kdj->kcd", waves.conj(), model.hopping, waves)
    field = model.U / 2
    for _ in range(_MOST_ITERATIONS):
        vectors = _lower_band(bands, field)
        occupied = np.sum(np.abs(vectors) ** 2, axis=0)
        new = model.U * (occupied[0] - occupied[1]) / model.n_sites
        if abs(new - field) < _SETTLED:
            break
        field = new
    up, down = (_orbitals(model, colours, momenta, _lower_band(bands, f)) for f in (field, -field))
    return up, down


def _reduced_zone(model, colours):
    """One momentum of every pair that differs by the wave vector of the colours; None if it does not fit."""
    n_basis = model.lattice.n_basis
    cell_colours = colours.reshape(*model.size, n_basis)
    offset = [0, 0]
    for axis, extent in enumerate(model.size):
        moved = (np.roll(cell_colours, 1, axis) - cell_colours) % 2
        if np.ptp(moved):
            return None
        offset[axis] = extent // 2 if moved.flat[0] else 0
    chosen, seen = [], set()
    for m1 in range(model.size[0]):
        for m2 in range(model.size[1]):
            if (m1, m2) not in seen:
                chosen.append((m1, m2))
                seen |= {(m1, m2), ((m1 + offset[0]) % model.size[0], (m2 + offset[1]) % model.size[1])}
    return chosen if len(chosen) == model.n_sites // 2 else None


def _lower_band(bands, field):
    """(K, 2) amplitudes on both colours of the lower state at every momentum."""
    return np.linalg.eigh(bands - field * np.diag([1.0, -1.0]))[1][:, :, 0]


def _orbitals(model, colours, momenta, vectors):
    """Real orbitals where possible: own conjugates first, then one of every pair k, -k."""
    envelopes = np.array([plane_wave(model, k) for k in momenta])
    rows = envelopes * vectors[:, colours]
    partner = _conjugates(rows)
    if partner is None:
        kept, n_pairs = list(range(len(rows))), 0
    else:
        single = [k for k, other in enumerate(partner) if other == k]
        pairs = [k for k, other in enumerate(partner) if k < other]
        kept, n_pairs = single + pairs, len(pairs)
        for k in single:
            envelopes[k], vectors[k] = _made_real(envelopes[k], vectors[k], colours)
    envelopes, vectors = envelopes[kept], vectors[kept] * np.sqrt(2)
    if partner is not None and not n_pairs:
        envelopes, vectors = envelopes.real, vectors.real
    return LatticeOrbitals(
        HashableArray(envelopes[None]),
        HashableArray(vectors[None].astype(envelopes.dtype)),
        HashableArray(colours),
        is_real=partner is not None,
        n_pairs=n_pairs,
    )


def _conjugates(rows):
    """For each orbital the one that is its conjugate, up to a phase; None if one has none."""
    overlaps = np.abs(rows @ rows.T)
    overlaps /= np.linalg.norm(rows, axis=1) ** 2
    partner = overlaps.argmax(axis=1)
    return partner if np.all(overlaps.max(axis=1) > 1 - 1e-9) else None


def _made_real(envelope, vector, colours):
    """An orbital that is its own conjugate, in real numbers: phases go from the wave to the amplitudes."""
    first = np.array([np.flatnonzero(colours == c)[0] for c in (0, 1)])
    phases = envelope[first]
    vector = vector * phases
    top = vector[np.argmax(np.abs(vector))]
    return (envelope / phases[colours]).real, (vector * np.abs(top) / top).real

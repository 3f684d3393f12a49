"""Compiled loops of the exact diagonalisation in symmetry sectors; see `exact` for the equations.

Configurations of one spin are 64-bit integers whose bit i is site i. They are ranked among those with as many
particles in ascending order, by a table of binomial coefficients. Spinless models have an empty down block.
"""

from typing import NamedTuple

import numpy as np

from hamiltonians.compiled import compiled


class Tables(NamedTuple):
    """Configurations of both spins, the group, and the orbits that it makes of one spin."""

    up_masks: np.ndarray
    """(n_up,) configurations of the up block, as bits, ascending."""
    down_masks: np.ndarray
    """(n_down,) likewise of the down block."""
    firsts: np.ndarray
    """(n_orbits,) rank of the first configuration of each orbit of the up block."""
    group: tuple[np.ndarray, ...]
    """Permutations, phases, their inverses, representation; without the spin-flip half."""
    orbits: tuple[np.ndarray, ...]
    """Orbit and element of each configuration of the up block, stabiliser pointers and elements."""
    binomial: np.ndarray
    """Binomial coefficients that rank configurations."""
    flip: int
    """Parity under spin flip, 0 where it is not used."""


class States(NamedTuple):
    """Representatives of the orbits of both spins, and the orthonormal states made of each."""

    pairs: np.ndarray
    """(n, 2) orbit and rank of the down block of every representative."""
    lookup: tuple[np.ndarray, np.ndarray, np.ndarray]
    """From (orbit, rank of the down block) to the number of the representative: starts of the orbits,
    `shared` and `positions` of `count_representatives`."""
    vectors: tuple[np.ndarray, np.ndarray]
    """A and A^+ Gram of every representative, (n, d, d) each."""
    offsets: np.ndarray
    """(n + 1,) number of the first state of every representative."""


class Couplings(NamedTuple):
    """A lattice Hamiltonian as arrays."""

    bonds: np.ndarray
    """(n, 2) sites i, j of every c+_i c_j, both directions."""
    amplitudes: np.ndarray
    """(n,) complex hopping amplitudes."""
    repulsion: np.ndarray
    """(n_sites, n_sites) W of sum_{i<j} W_ij n_i n_j."""
    on_site: float
    """U."""


@compiled(inline="never")
def rank_of(mask, binomial):
    """Position of a configuration: the sum of C(p_k, k + 1) over its sites p_0 < p_1 < ..."""
    rank, k, site = 0, 0, 0
    while mask:
        if mask & np.uint64(1):
            k += 1
            rank += binomial[site, k]
        mask >>= np.uint64(1)
        site += 1
    return rank


@compiled(inline="never")
def next_mask(mask):
    """The next larger integer with as many bits (Gosper); 0 for 0."""
    if mask == 0:
        return mask
    lowest = mask & (~mask + np.uint64(1))
    ripple = mask + lowest
    return ripple | (((mask ^ ripple) // lowest) >> np.uint64(2))


@compiled(inline="never")
def move(mask, permutation, phases):
    """Configuration and factor of U_g on one spin: phases times the parity of re-sorting."""
    moved, factor, odd = np.uint64(0), 1.0 + 0.0j, False
    site = 0
    while mask:
        if mask & np.uint64(1):
            target = np.uint64(permutation[site])
            factor *= phases[site]
            above = (moved >> target) >> np.uint64(1)
            while above:
                odd = not odd
                above &= above - np.uint64(1)
            moved |= np.uint64(1) << target
        mask >>= np.uint64(1)
        site += 1
    return moved, -factor if odd else factor


@compiled()
def all_masks(count, number):
    """(count,) the configurations of one spin in ascending order."""
    masks = np.empty(count, dtype=np.uint64)
    mask = (np.uint64(1) << np.uint64(number)) - np.uint64(1)
    for index in range(count):
        masks[index] = mask
        mask = next_mask(mask)
    return masks


@compiled()
def one_spin_orbits(masks, permutations, phases, binomial):
    """Orbits of one spin: for each configuration its orbit and the element that makes it of the first one.

    Returns (orbit of each, element of each, first configuration of each orbit, stabiliser pointers and
    elements). The first configuration of an orbit is its smallest.
    """
    orbit = np.full(len(masks), -1, dtype=np.int32)
    element = np.zeros(len(masks), dtype=np.int32)
    firsts = np.empty(len(masks), dtype=np.int32)
    pointers = [0]
    stabilisers = [0]
    stabilisers.clear()
    n_orbits = 0
    for index in range(len(masks)):
        if orbit[index] >= 0:
            continue
        for g in range(len(permutations)):
            image = rank_of(move(masks[index], permutations[g], phases[g])[0], binomial)
            if image == index:
                stabilisers.append(g)
            if orbit[image] < 0:
                orbit[image] = n_orbits
                element[image] = g
        firsts[n_orbits] = index
        n_orbits += 1
        pointers.append(len(stabilisers))
    return orbit, element, firsts[:n_orbits].copy(), np.array(pointers), np.array(stabilisers)


@compiled(inline="never")
def reduce_pair(up, down, tables, matrix):
    """Representative (orbit, rank of the down block) of a pair without spin flip, and the factor F.

    With X = U_s U_g^{-1} the element that leads there, X |up, down> = F |representative>; D(X) is written
    to `matrix`.
    """
    permutations, phases, inverse, inverse_phases, representation = tables.group
    orbit_of, element_of, pointers, stabilisers = tables.orbits
    binomial = tables.binomial
    index = rank_of(up, binomial)
    orbit, g = orbit_of[index], element_of[index]
    first, factor = move(up, inverse[g], inverse_phases[g])
    below, more = move(down, inverse[g], inverse_phases[g])
    factor *= more
    best = rank_of(below, binomial)
    chosen, chosen_factor = -1, 1.0 + 0.0j
    # The identity is the first stabiliser; with others, the smallest image of the down block is taken.
    for position in range(pointers[orbit] + 1, pointers[orbit + 1]):
        if down == 0:
            break
        s = stabilisers[position]
        image, more = move(below, permutations[s], phases[s])
        rank = rank_of(image, binomial)
        if rank < best:
            best, chosen = rank, s
            chosen_factor = more * move(first, permutations[s], phases[s])[1]
    size = matrix.shape[0]
    for i in range(size):
        for j in range(size):
            matrix[i, j] = 0.0
            if chosen < 0:
                matrix[i, j] = np.conj(representation[g, j, i])
            else:
                for k in range(size):
                    matrix[i, j] += representation[chosen, i, k] * np.conj(representation[g, j, k])
    return orbit, best, factor * chosen_factor


@compiled(inline="never")
def representative(up, down, tables, matrix, spare):
    """As `reduce_pair`, over the group with spin flip of the given parity (0: without)."""
    orbit, rank, factor = reduce_pair(up, down, tables, matrix)
    flip = tables.flip
    if flip != 0:
        other, other_rank, other_factor = reduce_pair(down, up, tables, spare)
        if other < orbit or (other == orbit and other_rank < rank):
            for i in range(len(matrix)):
                for j in range(len(matrix)):
                    matrix[i, j] = flip * spare[i, j]
            return other, other_rank, other_factor
    return orbit, rank, factor


@compiled()
def count_representatives(tables, positions, shared):
    """Number the representatives; `positions[shared[orbit], rank]` becomes the number, or -1 for none.

    Where every down block is a representative, `shared` is -1 and the number is the start of the orbit plus
    the rank. Returns the starts, (n_orbits + 1,).
    """
    up_masks, down_masks, firsts = tables.up_masks, tables.down_masks, tables.firsts
    size = tables.group[4].shape[1]
    matrix = np.empty((size, size), dtype=np.complex128)
    spare = np.empty((size, size), dtype=np.complex128)
    starts = np.zeros(len(firsts) + 1, dtype=np.int64)
    for orbit in range(len(firsts)):
        count = 0
        if shared[orbit] < 0:
            count = len(down_masks)
        else:
            for rank in range(len(down_masks)):
                found, best, _ = representative(
                    up_masks[firsts[orbit]], down_masks[rank], tables, matrix, spare
                )
                if found == orbit and best == rank:
                    positions[shared[orbit], rank] = starts[orbit] + count
                    count += 1
        starts[orbit + 1] = starts[orbit] + count
    return starts


@compiled()
def list_representatives(starts, shared, positions, n_down, pairs):
    """Write (orbit, rank of the down block) of every representative to `pairs`."""
    for orbit in range(len(shared)):
        for rank in range(n_down):
            n = starts[orbit] + rank if shared[orbit] < 0 else positions[shared[orbit], rank]
            if n >= 0:
                pairs[n, 0], pairs[n, 1] = orbit, rank


@compiled()
def gram_matrices(pairs, tables):
    """(n, d, d) <n|P^{st}|n> of every representative n, P^{st} = d/|G| sum_g conj(D_st(g)) U_g."""
    permutations, phases, _, _, representation = tables.group
    _, _, pointers, stabilisers = tables.orbits
    flip = tables.flip
    size = representation.shape[1]
    grams = np.zeros((len(pairs), size, size), dtype=np.complex128)
    matrix = np.empty((size, size), dtype=np.complex128)
    scale = size / (len(permutations) * (2 if flip != 0 else 1))
    for n in range(len(pairs)):
        orbit, rank = pairs[n]
        up, down = tables.up_masks[tables.firsts[orbit]], tables.down_masks[rank]
        swapped, swapped_factor = False, 1.0 + 0.0j
        if flip != 0:
            other, best, swapped_factor = reduce_pair(down, up, tables, matrix)
            swapped = other == orbit and best == rank
        for position in range(pointers[orbit], pointers[orbit + 1]):
            s = stabilisers[position]
            image, factor = move(down, permutations[s], phases[s])
            if image != down:
                continue
            factor *= move(up, permutations[s], phases[s])[1]
            for i in range(size):
                for j in range(size):
                    value = representation[s, i, j]
                    grams[n, i, j] += scale * np.conj(value) * factor
                    if swapped:
                        value = 0.0 + 0.0j
                        for k in range(size):
                            value += representation[s, i, k] * matrix[k, j]
                        grams[n, i, j] += scale * flip * np.conj(value) * factor * swapped_factor
    return grams


@compiled()
def interaction_energy(up, down, repulsion, on_site):
    """Diagonal element of H."""
    energy = 0.0
    one = np.uint64(1)
    for i in range(len(repulsion)):
        n_i = float((up >> np.uint64(i)) & one) + float((down >> np.uint64(i)) & one)
        if n_i == 0.0:
            continue
        if n_i == 2.0:
            energy += on_site
        for j in range(i):
            if repulsion[i, j] != 0.0:
                n_j = float((up >> np.uint64(j)) & one) + float((down >> np.uint64(j)) & one)
                energy += repulsion[i, j] * n_i * n_j
    return energy


@compiled(inline="never")
def hop(mask, i, j):
    """Result of c+_i c_j on one spin: the configuration (0 where there is none) and its sign."""
    one = np.uint64(1)
    if not (mask >> np.uint64(j)) & one or (mask >> np.uint64(i)) & one:
        return np.uint64(0), 0.0
    low, high = min(i, j), max(i, j)
    between = (mask >> np.uint64(low + 1)) & ((one << np.uint64(high - low - 1)) - one)
    sign = 1.0
    while between:
        sign = -sign
        between &= between - one
    return (mask ^ (one << np.uint64(j))) | (one << np.uint64(i)), sign


@compiled()
def fill_rows(first, last, tables, states, couplings, indptr, indices, values):
    """Write the rows of H that belong to representatives `first` to `last`; return the number of entries.

    `indptr` receives the ends of all rows that are reached. An element may be listed in several parts.
    """
    starts, shared, positions = states.lookup
    coefficients, duals = states.vectors
    pairs, offsets, bonds = states.pairs, states.offsets, couplings.bonds
    size = coefficients.shape[1]
    matrix = np.empty((size, size), dtype=np.complex128)
    spare = np.empty((size, size), dtype=np.complex128)
    used, row = 0, 0
    for n in range(first, last):
        up, down = tables.up_masks[tables.firsts[pairs[n, 0]]], tables.down_masks[pairs[n, 1]]
        diagonal = interaction_energy(up, down, couplings.repulsion, couplings.on_site)
        for alpha in range(offsets[n + 1] - offsets[n]):
            indices[used], values[used] = offsets[n] + alpha, diagonal
            used += 1
            for bond in range(2 * len(bonds)):
                i, j = bonds[bond // 2]
                is_down = bond % 2 == 1
                moved, sign = hop(down if is_down else up, i, j)
                if sign == 0.0:
                    continue
                new_up, new_down = (up, moved) if is_down else (moved, down)
                orbit, rank, factor = representative(new_up, new_down, tables, matrix, spare)
                target = starts[orbit] + rank if shared[orbit] < 0 else positions[shared[orbit], rank]
                factor *= sign * couplings.amplitudes[bond // 2]
                for beta in range(offsets[target + 1] - offsets[target]):
                    element = 0.0 + 0.0j
                    for t in range(size):
                        for s in range(size):
                            element += (
                                duals[target, beta, t] * np.conj(matrix[t, s]) * coefficients[n, s, alpha]
                            )
                    # <beta|H|alpha>, stored as the element (alpha, beta) of the Hermitian matrix.
                    indices[used], values[used] = offsets[target] + beta, np.conj(element * factor)
                    used += 1
            indptr[row] = used
            row += 1
    return used


@compiled()
def expand_vectors(levels, row, tables, states, out):
    """Write sector vectors (n_states, k) to all configurations, `out` (n_up * n_down, k)."""
    starts, shared, positions = states.lookup
    duals, offsets = states.vectors[1], states.offsets
    up_masks, down_masks = tables.up_masks, tables.down_masks
    size = duals.shape[2]
    matrix = np.empty((size, size), dtype=np.complex128)
    spare = np.empty((size, size), dtype=np.complex128)
    for a in range(len(up_masks)):
        for b in range(len(down_masks)):
            orbit, rank, factor = representative(up_masks[a], down_masks[b], tables, matrix, spare)
            n = starts[orbit] + rank if shared[orbit] < 0 else positions[shared[orbit], rank]
            for alpha in range(offsets[n + 1] - offsets[n]):
                # <m|b_alpha> = conj(F) sum_t D_tr(X) (Gram A)_{t alpha}
                weight = 0.0 + 0.0j
                for t in range(size):
                    weight += matrix[t, row] * np.conj(duals[n, alpha, t])
                weight *= np.conj(factor)
                for k in range(levels.shape[1]):
                    out[a * len(down_masks) + b, k] += weight * levels[offsets[n] + alpha, k]

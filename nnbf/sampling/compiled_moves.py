"""Proposals of :class:`ExcitationRule` and :class:`OrbitalHopRule` on bit strings, chain by chain.

The distributions and corrections are those of the rules that JAX compiles, the random numbers others.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from hamiltonians.compiled import compiled
from nnbf.determinants.slater_condon import is_empty, move
from nnbf.sampling.excitation_rule import ExcitationRule
from nnbf.sampling.hops import OrbitalHopRule

#: Random numbers of one proposal.
DRAWN = 6


class Excitations(NamedTuple):
    """An :class:`ExcitationRule`."""

    n_orbitals: int
    n_alpha: int
    n_beta: int
    single: float
    irrep: np.ndarray
    by_irrep: np.ndarray
    irrep_start: np.ndarray
    irrep_size: np.ndarray
    irrep_product: np.ndarray
    heat_bath: bool
    pair_start: np.ndarray
    pair_sum: np.ndarray
    cumulative: np.ndarray
    targets: np.ndarray


class Hops(NamedTuple):
    """The moves of an :class:`OrbitalHopRule` besides excitations; ``excited`` is 1 where there are none."""

    excited: float
    exchange: float
    coupling: np.ndarray
    hops: np.ndarray
    of_hops: np.ndarray
    exchanges: np.ndarray
    of_exchanges: np.ndarray


def has_moves(rule: Any) -> bool:
    """True for rules that :func:`compiled_moves` takes."""
    return type(rule) in (ExcitationRule, OrbitalHopRule)


def compiled_moves(rule: Any) -> tuple[Excitations, Hops]:
    """What :func:`propose` takes of a rule that :func:`has_moves`."""
    if type(rule) is OrbitalHopRule:
        parts = (rule.coupling, rule.hops.places, rule.hops.own, rule.exchanges.places, rule.exchanges.own)
        hops = Hops(rule.excited, rule.exchange, *(np.array(part) for part in parts))
        return _excitations(rule.excitations), hops
    places, own = np.zeros((1, 1, 2), np.int64), np.zeros((1, 1, 1))
    return _excitations(rule), Hops(1.0, 0.0, np.zeros((1, 1)), places, own, places, own)


def _excitations(rule):
    lists = (rule.pair_start, rule.pair_sum, rule.cumulative, rule.targets)
    if not rule.heat_bath:
        lists = (np.zeros((3, 1), np.int64), np.zeros((3, 1)), np.zeros(1), np.zeros((1, 2), np.int16))
    pair_start, pair_sum, cumulative, targets = map(np.array, lists)
    return Excitations(
        n_orbitals=rule.n_orbitals,
        n_alpha=rule.n_alpha,
        n_beta=rule.n_beta,
        single=float(rule.single_probability),
        irrep=np.array(rule.irrep),
        by_irrep=np.array(rule.by_irrep),
        irrep_start=np.array(rule.irrep_start),
        irrep_size=np.array(rule.irrep_size),
        irrep_product=np.array(rule.irrep_product),
        heat_bath=bool(rule.heat_bath),
        pair_start=pair_start,
        pair_sum=pair_sum,
        cumulative=cumulative,
        targets=targets,
    )


@compiled()
def propose(excitations, hops, words, uniform, proposed, correction):
    """Propose for determinants (n, 2 W) with random numbers (n, DRAWN) from 0 to 1.

    ``proposed`` and the logarithmic ``correction`` (n,) are filled; it is -inf where nothing is proposed.
    """
    m = excitations.n_orbitals
    occupied = np.empty(2 * m, np.int64)
    filled, field = np.empty(2 * m), np.empty(2 * m)
    room = max(len(hops.hops), len(hops.exchanges))
    costs, running = np.empty(room), np.empty(room)
    for r in range(len(words)):
        proposed[r] = words[r]
        u = uniform[r]
        if u[0] < hops.excited:
            n = _occupied(words[r], m, occupied)
            if n == 0:
                correction[r] = -np.inf
            elif u[1] < excitations.single:
                correction[r] = _single(excitations, proposed[r], occupied, n, u)
            else:
                correction[r] = _double(excitations, proposed[r], occupied, n, u)
        elif u[1] > 1.0 - hops.exchange:
            work = (filled, field, costs, running)
            correction[r] = _hop(hops.coupling, hops.exchanges, hops.of_exchanges, proposed[r], u[2], work)
        else:
            work = (filled, field, costs, running)
            correction[r] = _hop(hops.coupling, hops.hops, hops.of_hops, proposed[r], u[2], work)


@compiled()
def _occupied(words, m, occupied):
    half = words.shape[0] // 2
    n = 0
    for q in range(2 * m):
        spin = q // m
        if not is_empty(words, spin * half, q - spin * m):
            occupied[n] = q
            n += 1
    return n


@compiled()
def _single(rule, words, occupied, n, u):
    m, half = rule.n_orbitals, words.shape[0] // 2
    source = occupied[min(int(u[2] * n), n - 1)]
    spin = source // m
    i = source - spin * m
    a = _orbital_of(rule, u[3], rule.irrep[i])
    if not is_empty(words, spin * half, a):
        return -np.inf
    move(words, spin * half, i, a)
    return 0.0


@compiled()
def _orbital_of(rule, u, irrep):
    size = rule.irrep_size[irrep]
    return rule.by_irrep[rule.irrep_start[irrep] + min(int(u * size), size - 1)]


@compiled()
def _double(rule, words, occupied, n, u):
    m, half = rule.n_orbitals, words.shape[0] // 2
    low = min(int(u[2] * n), n - 1)
    high = (low + 1 + min(int(u[3] * (n - 1)), n - 2)) % n
    low, high = min(low, high), max(low, high)
    kind = 0 if high < rule.n_alpha else 1 if low >= rule.n_alpha else 2
    first, second = (0 if kind != 1 else 1), (0 if kind == 0 else 1)
    i, j = occupied[low] - first * m, occupied[high] - second * m
    if rule.heat_bath:
        pair = i * m + j
        start, total = rule.pair_start[kind, pair], rule.pair_sum[kind, pair]
        if not total > 0.0:
            return -np.inf
        base = rule.cumulative[start - 1] if start > 0 else 0.0
        entry = np.searchsorted(rule.cumulative, base + u[4] * total, side="right")
        a, b = rule.targets[min(entry, len(rule.cumulative) - 1)]
        correction = math.log(total / rule.pair_sum[kind, a * m + b])
    else:
        a = min(int(u[4] * m), m - 1)
        gamma = rule.irrep_product[rule.irrep[i], rule.irrep[j], rule.irrep[a]]
        if gamma < 0:
            return -np.inf
        b = _orbital_of(rule, u[5], gamma)
        forward, backward = 1.0 / rule.irrep_size[rule.irrep[b]], 1.0 / rule.irrep_size[rule.irrep[j]]
        if kind < 2:
            # Of the same spin, a pair can be drawn in either order.
            forward += 1.0 / rule.irrep_size[rule.irrep[a]]
            backward += 1.0 / rule.irrep_size[rule.irrep[i]]
        correction = math.log(backward / forward)
    if not is_empty(words, first * half, a) or not is_empty(words, second * half, b):
        return -np.inf
    if kind < 2 and a == b:
        return -np.inf
    move(words, first * half, i, a)
    move(words, second * half, j, b)
    return correction


@compiled()
def _hop(coupling, places, own, words, u, work):
    filled, field, costs, running = work
    n_modes, half = len(coupling), words.shape[0] // 2
    m = n_modes // 2
    for q in range(n_modes):
        spin = q // m
        filled[q] = 0.0 if is_empty(words, spin * half, q - spin * m) else 1.0
    for q in range(n_modes):
        field[q] = 0.0
    for p in range(n_modes):
        if filled[p] > 0.0:
            for q in range(n_modes):
                field[q] += coupling[p, q]
    total = _weights(places, own, filled, field, costs, running)
    if not total > 0.0:
        return -np.inf
    wanted, chosen = u * total, 0
    while running[chosen] <= wanted:
        chosen += 1
    for k in range(places.shape[1]):
        first, second = places[chosen, k]
        carried = filled[first] - filled[second]
        if carried != 0.0:
            spin = first // m
            move(words, spin * half, first - spin * m, second - spin * m)
            filled[first] -= carried
            filled[second] += carried
            for q in range(n_modes):
                field[q] += carried * (coupling[second, q] - coupling[first, q])
    cost = costs[chosen]
    return cost + math.log(total / _weights(places, own, filled, field, costs, running))


@compiled()
def _weights(places, own, filled, field, costs, running):
    """Fill costs and running sums of the weights of moves; return the whole sum."""
    total = 0.0
    n = places.shape[1]
    for b in range(len(places)):
        cost, changes = 0.0, False
        for k in range(n):
            first, second = places[b, k]
            carried = filled[first] - filled[second]
            if carried != 0.0:
                changes = True
                cost += carried * (field[second] - field[first])
                for other in range(n):
                    also = filled[places[b, other, 0]] - filled[places[b, other, 1]]
                    cost += 0.5 * carried * own[b, k, other] * also
        if changes:
            costs[b] = cost
            total += math.exp(-0.5 * cost)
        running[b] = total
    return total

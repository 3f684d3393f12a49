r"""Several states of a molecule on one variational space V: the lowest eigenvectors of H on it.

V is chosen for all states together, and is made of whole families of determinants
(:mod:`nnbf.determinants.shells`), so that spins, irreps of the full point group and degeneracies are exact.
It falls into blocks by the irreps of the Abelian group, which are diagonalised one by one. By the theorem of
Hylleraas, Undheim and MacDonald the n-th eigenvalue of a block is an upper bound of the n-th of its sector.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hamiltonians import InputError, MolecularIntegrals, irrep_bits
from hamiltonians.orbital_symmetry import orbital_shells
from nnbf.determinants import (
    Amplitudes,
    build_hash_table,
    diagonal_elements,
    enumerate_sector,
    find_rows,
    sector_dimension,
)
from nnbf.determinants.density_sums import excited_determinants, one_body_sums
from nnbf.determinants.parallel import sparse_times_vector
from nnbf.determinants.rows import connected_partitions
from nnbf.determinants.shells import Families
from nnbf.drivers.growth import Growth
from nnbf.drivers.state_blocks import Block, Eigenstate
from nnbf.observables.natural import diagonalised
from nnbf.operators import MolecularHamiltonian
from nnbf.states.davidson import lowest_eigenvectors
from nnbf.states.estimates import energy_gaps, second_order, second_order_of

#: Energies of one block, or of blocks that symmetry relates, which differ by less (Hartree) are one level.
DEGENERATE = 2e-6
#: Irreps whose lowest state is higher than all that is sought by this much (Hartree) are left alone.
FAR = 0.15
#: Determinants of V, a block, that a search begins with.
FIRST = 400


@dataclass(frozen=True)
class Wanted:
    """Which states."""

    count: int
    """How many, degenerate ones counted each; a level that begins among them comes complete."""
    spin: float | None = None
    """Total spin; None for any."""
    codes: frozenset[int] | None = None
    """Abelian irreps, XOR codes; None for all."""
    accepts: Callable[[Eigenstate], bool] | None = None
    """What else is asked of them; None for nothing."""

    @property
    def is_any(self) -> bool:
        """True where neither spin nor irrep is asked for."""
        return self.spin is None and self.codes is None and self.accepts is None


@dataclass(frozen=True, eq=False)
class FoundStates:
    """The lowest states on V."""

    states: tuple[Eigenstate, ...]
    """By energy; those of a level one after another."""
    complete: bool
    """True where V is the whole sector."""
    n_determinants: int
    """Determinants of V, all blocks together."""


class FewStates(InputError):
    """Raised where there are fewer states than are sought."""

    def __init__(self, count: int, found: FoundStates):
        super().__init__(f"there are {len(found.states)} states of that kind, not {count}: give fewer states")
        self.found = found
        """Those that there are."""


def lowest_states(
    integrals: MolecularIntegrals,
    wanted: Wanted,
    growth: Growth,
    *,
    whole_limit: int = 50_000,
    should_stop: Callable[[], bool] = lambda: False,
) -> FoundStates:
    """Find the lowest states of a molecule by selected configuration interaction, all on one V.

    Args:
        integrals: The Hamiltonian, with one set of orbitals.
        wanted: Which states.
        growth: Sizes of V, counted by the determinants of a block.
        whole_limit: Blocks of the whole sector up to this many determinants are taken as they are.
        should_stop: Asked before V grows; true ends with the V that there is.

    Raises:
        InputError: The orbitals of the spins differ, or there are fewer states.
        ArithmeticError: A diagonalisation did not converge.
    """
    return _Search(integrals, wanted, growth).run(whole_limit, should_stop)


def in_average_natural_orbitals(
    integrals: MolecularIntegrals, states: Sequence[Eigenstate]
) -> MolecularIntegrals:
    """The same Hamiltonian in natural orbitals of the mean density of states: shorter lists do then.

    In bases with diffuse functions virtual orbitals of Hartree-Fock are of little use to excited states.

    Args:
        integrals: The Hamiltonian.
        states: States on a small V, levels complete, so that the mean has the symmetry of the molecule.
    """
    codes = irrep_bits(integrals)
    total = np.zeros((integrals.n_orbitals, integrals.n_orbitals))
    for state in states:
        rows = state.block.determinants
        listed = Amplitudes.listed(rows, state.vector, False)
        density = one_body_sums(rows, state.vector, listed, codes).sum(axis=0)
        total += 0.5 * (density + density.T)
    _, vectors = diagonalised(total / len(states), codes)
    filled = tuple(range(integrals.n_alpha)), tuple(range(integrals.n_beta))
    return replace(integrals.rotate(vectors), reference_occupation=filled)


class _Search:
    def __init__(self, integrals, wanted, growth):
        if integrals.is_spin_resolved:
            raise InputError("states need one set of orbitals for both spins: give reference rohf")
        self.hamiltonian = MolecularHamiltonian(integrals)
        self.integrals, self.wanted, self.growth = integrals, wanted, growth
        self.irreps = irrep_bits(integrals)
        self.particles = integrals.n_alpha, integrals.n_beta
        self.families = Families(orbital_shells(integrals), self.irreps, self.particles)
        every = {0, *self.irreps.tolist()}
        while len(more := {a ^ b for a in every for b in every}) > len(every):
            every = more
        self.n_irreps = len(every)
        self.codes = sorted(every if wanted.codes is None else every & wanted.codes)
        self.roots = dict.fromkeys(self.codes, 2)
        self.previous: list[Eigenstate] = []
        self.lowest: dict[int, float] = {}
        self.is_whole = False

    def run(self, whole_limit, should_stop):
        size = self.integrals.n_orbitals
        dimension = sector_dimension(size, *self.particles)
        if dimension <= min(1.2 * whole_limit, self.growth.max_size) * self.n_irreps:
            blocks = [
                Block(code, enumerate_sector(size, *self.particles, self.irreps, code), self.hamiltonian)
                for code in self.codes
            ]
            self.is_whole = True
            states = self._lowest(blocks)
            return FoundStates(tuple(replace(s, stages=((s.energy, 0.0),)) for s in states), True, dimension)
        return self._grown(should_stop)

    # ---- growth ------------------------------------------------------------------------------------

    def _grown(self, should_stop):
        chosen, previous = self._first_families(), 0
        while True:
            blocks = self._blocks(chosen)
            states = self._lowest(blocks)
            size = max(len(block.determinants) for block in blocks)
            is_last = size >= 0.9 * self.growth.max_size or should_stop()
            outside, states = self._surroundings(states, exact=is_last)
            states = [replace(state, stages=self._stages(state)) for state in states]
            worst = max(-state.second_order for state in states)
            if is_last or self.growth.is_enough(size, worst) or size <= previous:
                break
            self._leave_out(states)
            chosen = self._next_families(states, outside, self.growth.next_size(size))
            self.previous, previous = states, size
        return FoundStates(tuple(states), False, sum(len(block.determinants) for block in blocks))

    def _leave_out(self, states):
        """Irreps far above all that is sought are not looked at any more."""
        highest = max(state.energy for state in states)
        self.codes = [code for code in self.codes if self.lowest.get(code, highest) < highest + FAR]

    def _first_families(self):
        """Families of the lowest single and double excitations of the reference, of all irreps."""
        reference = self.hamiltonian.reference
        near = excited_determinants(reference, np.zeros_like(self.irreps), "all")
        diagonal = diagonal_elements(self.hamiltonian.tables, near)
        keys, first = np.unique(self.families.keys(near), return_index=True)
        lowest = np.full(len(keys), np.inf)
        np.minimum.at(lowest, np.searchsorted(keys, self.families.keys(near)), diagonal)
        return self._taken(keys, self.families.occupations(near[first]), -lowest, FIRST)

    def _next_families(self, states, outside, size):
        rows, weights = [], []
        for state in states:
            rows.append(state.block.determinants)
            weights.append(state.vector**2)
        for space, squares in outside:
            rows.append(space)
            weights.append(squares)
        keys = [self.families.keys(part) for part in rows]
        distinct, first, place = np.unique(np.concatenate(keys), return_index=True, return_inverse=True)
        scores = np.bincount(place, np.concatenate(weights), len(distinct))
        # Which list a family is met in first does not matter.
        starts = np.cumsum([0, *(len(part) for part in rows)])
        occupations = np.empty((len(distinct), self.families.n_shells), np.uint64)
        for part, lo, hi in zip(rows, starts, starts[1:], strict=False):
            here = (first >= lo) & (first < hi)
            occupations[here] = self.families.occupations(part[first[here] - lo])
        kept = scores > 1e-16
        occupations, scores = occupations[kept], scores[kept]
        sizes = np.array([self.families.size(tuple(o)) for o in occupations.tolist()])
        return self._taken(distinct[kept], occupations, scores / sizes, size, sizes)

    def _taken(self, keys, occupations, scores, size, sizes=None):
        """Families by falling score, as many as have so many determinants in a block; ties all or none."""
        if sizes is None:
            sizes = np.array([self.families.size(tuple(o)) for o in occupations.tolist()])
        order = np.lexsort((keys, -scores))
        total = np.cumsum(sizes[order])
        count = max(1, int(np.searchsorted(total, size * self.n_irreps, side="right")))
        return [tuple(o) for o in occupations[order[:count]].tolist()]

    def _blocks(self, chosen):
        parts = [self.families.members(occupation) for occupation in chosen]
        determinants = np.concatenate([part for part, _ in parts])
        codes = np.concatenate([part for _, part in parts])
        return [
            Block(code, np.ascontiguousarray(determinants[codes == code]), self.hamiltonian)
            for code in self.codes
            if np.any(codes == code)
        ]

    def _surroundings(self, states, *, exact):
        """Squares of first-order amplitudes outside V, for each state, and the states with second order."""
        found, corrected = [], []
        tables, screening = self.hamiltonian.tables, self.growth.screening
        for state in states:
            rows, vector = state.block.determinants, state.vector
            if exact:
                parts = connected_partitions(tables, rows, vector, False, 0.0)
                total = sum(second_order(tables, k, c, state.energy, False) for k, c in parts)
            else:
                threshold = 0.0 if len(rows) < 64 else screening
                outside = self.hamiltonian.connected_space(rows, vector, False, threshold)
                total = second_order_of(outside, state.energy, False)
                squares = (outside.couplings / energy_gaps(outside, state.energy)) ** 2
                found.append((outside.determinants, squares))
            corrected.append(replace(state, second_order=float(total)))
        return found, corrected

    def _stages(self, state):
        """Energies and second orders of a state on V as it grew: of the states that it overlaps with."""
        earlier: tuple[tuple[float, float], ...] = ()
        for old in self.previous:
            if old.block.code == state.block.code and abs(_overlap(old, state)) > 0.7:
                earlier = old.stages
        return (*earlier, (state.energy, state.second_order))

    # ---- diagonalisation ---------------------------------------------------------------------------

    def _lowest(self, blocks):
        """The states that are wanted, all levels complete."""
        solved: dict[int, list[tuple[float, Eigenstate]]] = {}
        while True:
            for block in blocks:
                wanted = min(self.roots[block.code], self._turn(block).shape[0])
                if block.code not in solved or len(solved[block.code]) < wanted:
                    solved[block.code] = self._solved(block, wanted, solved.get(block.code))
            # A block may have no state of the parity that is sought.
            self.lowest |= {code: items[0][0] for code, items in solved.items() if items}
            # All states below the highest one of every block are known.
            open_blocks = [b for b in blocks if len(solved[b.code]) < self._turn(b).shape[0]]
            tops = {b.code: solved[b.code][-1][0] for b in open_blocks}
            horizon = min(tops.values(), default=np.inf) - DEGENERATE
            below = [item[1] for found in solved.values() for item in found if item[0] < horizon]
            states: list[Eigenstate] = []
            count = 0
            for number, level in enumerate(self._levels(below)):
                if count >= self.wanted.count:
                    return states
                accepted = [replace(s, term=number) for s in level if self._accepts(s)]
                states += accepted
                count += len(accepted)
            if count >= self.wanted.count:
                return states
            if not tops:
                found = FoundStates(tuple(states), self.is_whole, sum(len(b.determinants) for b in blocks))
                raise FewStates(self.wanted.count, found)
            code = min(tops, key=lambda code: tops[code])
            self.roots[code] += 2

    def _accepts(self, state):
        wanted = self.wanted
        if wanted.spin is not None and state.spin != wanted.spin:
            return False
        return wanted.accepts is None or wanted.accepts(state)

    def _solved(self, block, count, before):
        """[(eigenvalue, state)] of the lowest states of a block, of one parity where one spin is sought."""
        turn = self._turn(block)
        start = None if before is None else np.stack([state.vector for _, state in before], axis=1)
        start = self._start(block) if start is None else start
        folded = (turn @ block.matrix @ turn.T).tocsr() if self._folds else block.matrix
        values, vectors = lowest_eigenvectors(folded, count, None if start is None else turn @ start)
        vectors = turn.T @ vectors
        vectors = self._resolved(block, values, vectors)
        s_z = 0.5 * abs(self.particles[0] - self.particles[1])
        vectors *= np.sign(vectors[np.argmax(np.abs(vectors), axis=0), np.arange(len(values))])
        found = []
        for number, (value, vector) in enumerate(zip(values, vectors.T, strict=True)):
            raised = block.raising @ vector
            energy = float(vector @ sparse_times_vector(block.matrix, vector))
            spin_square = s_z * (s_z + 1.0) + float(raised @ raised)
            below = vectors[:, :number]
            found.append((float(value), Eigenstate(energy, block, vector, number, spin_square, below)))
        return found

    @property
    def _folds(self):
        """True where states of one parity under spin flip are sought."""
        return self.wanted.spin is not None and self.particles[0] == self.particles[1]

    def _turn(self, block):
        """From amplitudes on a block to those of the parity that is sought."""
        parity = 1 - 2 * (round(self.wanted.spin) % 2) if self._folds else None
        return block.folded(parity).transform

    def _start(self, block):
        """Vectors of the block before, where there is one, on the new determinants."""
        old = [s for s in self.previous if s.block.code == block.code]
        if not old:
            return None
        source = old[0].block.determinants
        place = find_rows(build_hash_table(source), source, block.determinants)
        return np.stack([np.where(place >= 0, s.vector[place], 0.0) for s in old], axis=1)

    def _resolved(self, block, values, vectors):
        """Degenerate vectors as eigenvectors of S^2, then by the orbitals that they occupy."""
        vectors = vectors.copy()
        for group in _runs(values):
            if len(group) < 2:
                continue
            raised = block.raising @ vectors[:, group]
            spins, inside = np.linalg.eigh(raised.T @ raised)
            vectors[:, group] = vectors[:, group] @ inside
            occupied = self.hamiltonian.unpack(block.determinants).astype(float)
            size = self.integrals.n_orbitals
            weights = (occupied[:, :size] + occupied[:, size:]) @ np.sqrt(1.0 + np.arange(size))
            for same in _runs(spins, 0.1):
                columns = np.asarray(group)[same]
                part = vectors[:, columns]
                vectors[:, columns] = part @ np.linalg.eigh(part.T @ (weights[:, None] * part))[1]
        return vectors

    def _levels(self, states) -> Iterator[list[Eigenstate]]:
        """Degenerate states of one spin together, by energy."""
        states = sorted(states, key=lambda s: (s.energy, s.block.code, s.number))
        for group in _runs(np.array([s.energy for s in states])):
            members = [states[i] for i in group]
            for spin in sorted({s.spin for s in members}):
                level = [s for s in members if s.spin == spin]
                partners = tuple(sorted(s.block.code for s in level))
                yield [replace(s, partners=partners) for s in level]


def _runs(values: np.ndarray, tolerance: float = DEGENERATE) -> list[list[int]]:
    """Indices of rising values, those together that follow each other closely."""
    groups: list[list[int]] = []
    for index, value in enumerate(values):
        if groups and value - values[groups[-1][-1]] <= tolerance:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def _overlap(old, new):
    place = find_rows(
        build_hash_table(old.block.determinants), old.block.determinants, new.block.determinants
    )
    return float(np.where(place >= 0, old.vector[place], 0.0) @ new.vector)

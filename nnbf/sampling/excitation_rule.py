r"""Metropolis proposals for peaked molecular states: single and double excitations.

|psi|^2 of a molecule lives on few determinants that differ by single and double excitations, most of
them of one irrep. Proposals therefore keep the irrep, and doubles may be drawn like the Hamiltonian's
matrix elements are large (heat bath; Holmes, Changlani, Umrigar, JCTC 12, 1561 (2016)): a pair of
occupied orbitals uniformly, then the pair to fill with probability

.. math:: p(ab|ij) = |H_{ij}^{ab}| / S_{ij}, \qquad S_{ij} = \sum_{ab} |H_{ij}^{ab}|.

Since :math:`|H_{ij}^{ab}| = |H_{ab}^{ij}|`, the ratio of the two directions is :math:`S_{ij} / S_{ab}`.
A proposal that would fill an occupied orbital is rejected.
"""

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
from netket.utils import struct

from hamiltonians import MolecularIntegrals
from nnbf.determinants import IntegralTables


class ExcitationRule(nk.sampler.rules.MetropolisRule):
    """Proposes single and double excitations that keep the numbers of electrons and the irrep."""

    n_orbitals: int = struct.field(pytree_node=False)
    n_alpha: int = struct.field(pytree_node=False)
    n_beta: int = struct.field(pytree_node=False)
    single_probability: float = struct.field(pytree_node=False)
    """Share of single excitations among the proposals."""
    heat_bath: bool = struct.field(pytree_node=False)
    """Doubles are drawn in proportion to their matrix elements, else uniformly."""
    scatter: int = struct.field(pytree_node=False)
    """Excitations between the reference and the starting determinants of the chains, at most."""
    reference: jax.Array
    """Occupations (2M,) from which chains set out."""
    by_irrep: jax.Array
    """Orbitals sorted by irrep, (M,)."""
    irrep: jax.Array
    """Number of every orbital's irrep, (M,)."""
    irrep_start: jax.Array
    """Start of an irrep's orbitals in ``by_irrep``, (n_irreps,)."""
    irrep_size: jax.Array
    """Orbitals of an irrep, (n_irreps,)."""
    irrep_product: jax.Array
    """Irrep of a product of three, (n_irreps,) * 3; -1 where no orbital has it."""
    pair_start: jax.Array | None
    """Start (3, M^2) of the list of targets of each ordered pair (kinds aa, bb, ab)."""
    pair_sum: jax.Array | None
    """S_ij (3, M^2)."""
    cumulative: jax.Array | None
    """Running sums (L,) of |H| over all lists."""
    targets: jax.Array | None
    """Filled pairs (L, 2), int16."""

    def __init__(
        self,
        n_orbitals: int,
        n_alpha: int,
        n_beta: int,
        *,
        tables: IntegralTables | None = None,
        orbital_irreps=None,
        reference=None,
        single_probability: float = 0.2,
        scatter: int = 4,
    ):
        """Make a rule.

        Args:
            n_orbitals: Spatial orbitals M.
            n_alpha: Alpha electrons.
            n_beta: Beta electrons.
            tables: Integral tables for heat-bath doubles; without them doubles are uniform.
            orbital_irreps: XOR codes (M,) of the orbitals' irreps (``hamiltonians.irrep_bits``), or None.
            reference: Occupied (alpha, beta) orbitals from which the chains set out (default: the first).
            single_probability: Share of single excitations among the proposals.
            scatter: Chains start up to this many random excitations away from the reference.
        """
        if not 0.0 <= single_probability <= 1.0:
            raise ValueError(f"single_probability must lie in [0, 1], got {single_probability}")
        m = n_orbitals
        self.n_orbitals, self.n_alpha, self.n_beta = m, n_alpha, n_beta
        self.scatter = scatter
        pairs = n_alpha * (n_alpha - 1) // 2 + n_beta * (n_beta - 1) // 2 + n_alpha * n_beta
        self.single_probability = float(single_probability) if pairs else 1.0
        alpha, beta = reference or (range(n_alpha), range(n_beta))
        occupations = np.zeros(2 * m, np.int8)
        occupations[[*alpha, *(m + q for q in beta)]] = 1
        self.reference = jnp.asarray(occupations)

        codes = np.zeros(m, np.int64) if orbital_irreps is None else np.asarray(orbital_irreps)
        names, irrep, sizes = np.unique(codes, return_inverse=True, return_counts=True)
        number = {int(code): k for k, code in enumerate(names)}
        self.irrep = jnp.asarray(irrep)
        self.by_irrep = jnp.asarray(np.argsort(irrep, kind="stable"))
        self.irrep_start = jnp.asarray(np.cumsum(sizes) - sizes)
        self.irrep_size = jnp.asarray(sizes)
        self.irrep_product = jnp.asarray(
            [[[number.get(int(p ^ q ^ r), -1) for r in names] for q in names] for p in names]
        )

        self.heat_bath = tables is not None
        self.pair_start = self.pair_sum = self.cumulative = self.targets = None
        if tables is not None:
            start, total, running, target = _heat_bath_lists(tables)
            self.pair_start, self.pair_sum = jnp.asarray(start), jnp.asarray(total)
            self.cumulative, self.targets = jnp.asarray(running), jnp.asarray(target)

    @classmethod
    def of(
        cls, integrals: MolecularIntegrals, irreps: np.ndarray, tables: IntegralTables | None = None
    ) -> "ExcitationRule":
        """The rule of a molecule.

        Args:
            integrals: Its electrons, orbitals and reference determinant.
            irreps: (M,) XOR codes of the orbitals' irreps (zeros where unknown).
            tables: Integral tables for heat-bath doubles; without them doubles are uniform.
        """
        return cls(
            integrals.n_orbitals,
            integrals.n_alpha,
            integrals.n_beta,
            tables=tables,
            orbital_irreps=irreps,
            reference=tuple(tuple(map(int, orbitals)) for orbitals in integrals.reference_occupation),
        )

    def transition(self, sampler, machine, parameters, state, key, σ):
        """Propose for every chain; see ``nk.sampler.rules.MetropolisRule``."""
        keys = jax.random.split(key, σ.shape[0])
        return jax.vmap(self._propose)(keys, σ)

    def random_state(self, sampler, machine, parameters, state, key):
        """Chains start up to ``scatter`` accepted proposals away from the reference, each from its own."""
        n = sampler.n_batches
        keys = jax.random.split(key, (n, self.scatter))
        start = jnp.broadcast_to(self.reference, (n, 2 * self.n_orbitals)).astype(sampler.dtype)
        length = jnp.arange(n) % (self.scatter + 1)

        def walk(x, keys, length):
            def move(x, step):
                key, count = step
                proposed, correction = self._propose(key, x)
                return jnp.where((count < length) & (correction > -jnp.inf), proposed, x), None

            return jax.lax.scan(move, x, (keys, jnp.arange(self.scatter)))[0]

        return jax.vmap(walk)(start, keys, length)

    def _propose(self, key, x):
        kind, key = jax.random.split(key)
        is_single = jax.random.uniform(kind) < self.single_probability
        if self.single_probability >= 1.0:
            return self._single(key, x)
        if self.single_probability <= 0.0:
            return self._double(key, x)
        single, double = self._single(key, x), self._double(key, x)
        return jax.tree.map(lambda s, d: jnp.where(is_single, s, d), single, double)

    def _single(self, key, x):
        # Electron uniform, target uniform in its irrep, occupied or not: the same both ways.
        m, n = self.n_orbitals, self.n_alpha + self.n_beta
        first, second = jax.random.split(key)
        electron = jax.random.randint(first, (), 0, max(n, 1))
        source = _occupied(x, n)[electron]
        spin = (electron >= self.n_alpha).astype(int)
        target = spin * m + self._orbital_of(second, self.irrep[source - spin * m])
        return self._moved(x, (source,), (target,), 0.0)

    def _double(self, key, x):
        m = self.n_orbitals
        n_a, n_b = self.n_alpha, self.n_beta
        keys = jax.random.split(key, 3)
        occupied = _occupied(x, n_a + n_b)
        # Two different electrons, uniformly: the kind (aa, bb, ab) comes with them.
        low = jax.random.randint(keys[0], (), 0, n_a + n_b)
        high = (low + jax.random.randint(keys[1], (), 1, max(n_a + n_b, 2))) % (n_a + n_b)
        low, high = jnp.minimum(low, high), jnp.maximum(low, high)
        kind = jnp.where(high < n_a, 0, jnp.where(low >= n_a, 1, 2))
        shift = jnp.array([[0, 0], [m, m], [0, m]])[kind]
        i, j = occupied[low] - shift[0], occupied[high] - shift[1]
        if self.heat_bath:
            a, b, correction = self._heat_bath_targets(keys[2], kind, i, j)
        else:
            a, b, correction = self._uniform_targets(keys[2], kind, i, j)
        sources = (occupied[low], occupied[high])
        return self._moved(x, sources, (shift[0] + a, shift[1] + b), correction)

    def _heat_bath_targets(self, key, kind, i, j):
        assert self.pair_start is not None
        assert self.pair_sum is not None
        assert self.cumulative is not None
        assert self.targets is not None
        m = self.n_orbitals
        pair = i * m + j
        start, total = self.pair_start[kind, pair], self.pair_sum[kind, pair]
        # One list of all kinds: chains that choose among several would copy theirs.
        running = self.cumulative
        base = jnp.where(start > 0, running[start - 1], 0.0)
        entry = jnp.searchsorted(running, base + jax.random.uniform(key) * total, side="right")
        a, b = self.targets[jnp.minimum(entry, running.shape[0] - 1)].astype(int)
        correction = jnp.log(total) - jnp.log(self.pair_sum[kind, a * m + b])
        return a, b, jnp.where(total > 0, correction, -jnp.inf)

    def _uniform_targets(self, key, kind, i, j):
        m = self.n_orbitals
        first, second = jax.random.split(key)
        a = jax.random.randint(first, (), 0, m)
        gamma = self.irrep_product[self.irrep[i], self.irrep[j], self.irrep[a]]
        b = self._orbital_of(second, jnp.maximum(gamma, 0))
        inverse = 1.0 / self.irrep_size
        # Of the same spin, a pair can be drawn in either order.
        same = kind < 2
        forward = inverse[self.irrep[b]] + jnp.where(same, inverse[self.irrep[a]], 0.0)
        backward = inverse[self.irrep[j]] + jnp.where(same, inverse[self.irrep[i]], 0.0)
        return a, b, jnp.where(gamma >= 0, jnp.log(backward / forward), -jnp.inf)

    def _orbital_of(self, key, irrep):
        place = jax.random.randint(key, (), 0, self.irrep_size[irrep])
        return self.by_irrep[self.irrep_start[irrep] + place]

    def _moved(self, x, sources, targets, correction):
        free = jnp.array(True)
        for target in targets:
            free = free & (x[target] < 0.5)
        if len(targets) == 2:
            free = free & (targets[0] != targets[1])
        moved = x
        for source in sources:
            moved = moved.at[source].set(0)
        for target in targets:
            moved = moved.at[target].set(1)
        return jnp.where(free, moved, x), jnp.where(free, correction, -jnp.inf)

    def __repr__(self):
        kind = "heat bath" if self.heat_bath else "uniform"
        return f"ExcitationRule({kind}, single_probability={self.single_probability})"


def _occupied(x, n):
    return jnp.nonzero(x > 0.5, size=max(n, 1), fill_value=0)[0]


def _heat_bath_lists(tables: IntegralTables):
    m = tables.n_orbitals
    same_pair = np.zeros((m, m), np.int64)
    for j in range(m):
        for i in range(j):
            same_pair[i, j] = j * (j - 1) // 2 + i
    upper = np.triu(np.ones((m, m), bool), 1)
    kinds = []
    for spin in range(2):
        pointers, values = tables.same_pointers[spin], np.abs(tables.same_values[spin])
        kinds.append((pointers, values[: pointers[-1]], tables.same_targets[spin][: pointers[-1]]))
    kinds.append((tables.mixed_pointers, np.abs(tables.mixed_values), tables.mixed_targets))
    start = np.zeros((3, m * m), np.int64)
    total = np.zeros((3, m * m))
    running = np.cumsum(np.concatenate([values for _, values, _ in kinds]))
    from_zero = np.concatenate([[0.0], running])
    before = 0
    for kind, (pointers, values, _) in enumerate(kinds):
        first = before + pointers[:-1]
        of_list = from_zero[before + pointers[1:]] - from_zero[first]
        before += len(values)
        if kind == 2:
            start[kind], total[kind] = first, of_list
        elif m > 1:
            start[kind].reshape(m, m)[upper] = first[same_pair[upper]]
            total[kind].reshape(m, m)[upper] = of_list[same_pair[upper]]
    targets = np.concatenate([of_kind for _, _, of_kind in kinds])
    if not len(running):  # nothing to choose from
        running, targets = np.zeros(1), np.zeros((1, 2), np.int16)
    return start, total, running, targets

"""Slow, obvious oracles: Slater-Condon rules, OpenFermion's matrices, explicit Jacobians."""

from functools import partial
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from hamiltonians import MolecularIntegrals, Molecule
from nnbf.determinants import diagonal_elements, multiplicities
from nnbf.determinants.rows import connected_partitions

Configuration = tuple[tuple[int, ...], tuple[int, ...]]


def random_integrals(
    n_orbitals, n_alpha, n_beta, seed=0, *, spin_resolved=False, scale=0.3, reference=None
) -> MolecularIntegrals:
    """Random real Hamiltonian with the symmetries it must have only; levels about 1 Hartree apart."""
    rng = np.random.default_rng(seed)
    shape = (n_orbitals,) * 4

    def one_body():
        h = scale * rng.normal(size=shape[:2])
        return h + h.T + np.diag(np.arange(n_orbitals) - 2.0)

    def two_body(same_spin):
        v = 0.3 * scale * rng.normal(size=shape)
        v = v + v.transpose(1, 0, 2, 3)
        v = v + v.transpose(0, 1, 3, 2)
        return v + v.transpose(2, 3, 0, 1) if same_spin else v

    if spin_resolved:
        h, v = np.stack([one_body(), one_body()]), np.stack([two_body(same) for same in (True, False, True)])
    else:
        h, v = one_body(), two_body(True)
    return MolecularIntegrals.from_full(
        float(rng.normal()), h, v, n_alpha, n_beta, reference_occupation=reference
    )


def random_system(*arguments, **options) -> Molecule:
    """A system that holds nothing but :func:`random_integrals`."""
    return Molecule(random_integrals(*arguments, **options))


def configurations(n_orbitals, n_alpha, n_beta) -> list[Configuration]:
    """All (alpha orbitals, beta orbitals) of a sector."""
    return [
        (alpha, beta)
        for alpha in combinations(range(n_orbitals), n_alpha)
        for beta in combinations(range(n_orbitals), n_beta)
    ]


def bit_strings(configs, n_orbitals) -> np.ndarray:
    """Bit strings (n, 2 W) of configurations, by integer arithmetic."""
    words = max(1, (n_orbitals + 63) // 64)
    rows = []
    for config in configs:
        row = []
        for spin in config:
            number = sum(1 << p for p in spin)
            row += [(number >> (64 * w)) & (2**64 - 1) for w in range(words)]
        rows.append(row)
    return np.array(rows, dtype=np.uint64).reshape(len(configs), 2 * words)


def occupations(configs, n_orbitals) -> np.ndarray:
    """0/1 occupations (n, 2M) of configurations, alpha block first."""
    x = np.zeros((len(configs), 2 * n_orbitals))
    for row, (alpha, beta) in zip(x, configs, strict=True):
        row[list(alpha)] = 1.0
        row[[n_orbitals + q for q in beta]] = 1.0
    return x


def slow_element(integrals: MolecularIntegrals, bra: Configuration, ket: Configuration) -> float:
    """<bra|H|ket> by the Slater-Condon rules on lists of spin orbitals (spin, p), alpha first."""
    resolved = integrals.is_spin_resolved

    def one(x, y):
        if x[0] != y[0]:
            return 0.0
        h = integrals.one_body[x[0]] if resolved else integrals.one_body
        return h[x[1], y[1]]

    def pair(p, q):
        return max(p, q) * (max(p, q) + 1) // 2 + min(p, q)

    def two(x, y, z, w):
        """(xy|zw) of spin orbitals."""
        if x[0] != y[0] or z[0] != w[0]:
            return 0.0
        left, right = pair(x[1], y[1]), pair(z[1], w[1])
        if not resolved:
            return integrals.two_body[left, right]
        if x[0] > z[0]:
            return integrals.two_body[1][right, left]
        return integrals.two_body[x[0] + z[0]][left, right]

    bra, ket = ([(spin, p) for spin in (0, 1) for p in config[spin]] for config in (bra, ket))
    left = [x for x in ket if x not in bra]
    come = [x for x in bra if x not in ket]
    sign = (-1) ** (sum(map(ket.index, left)) + sum(map(bra.index, come)))
    if not left:
        energy = integrals.constant + sum(one(x, x) for x in ket)
        return energy + 0.5 * sum(two(x, x, y, y) - two(x, y, y, x) for x in ket for y in ket)
    if len(left) == 1:
        (i,), (a,) = left, come
        return sign * (one(a, i) + sum(two(a, i, k, k) - two(a, k, k, i) for k in ket))
    if len(left) == 2:
        (i, j), (a, b) = left, come
        return sign * (two(a, i, b, j) - two(a, j, b, i))
    return 0.0


def slow_hamiltonian(integrals: MolecularIntegrals, rows, columns=None) -> np.ndarray:
    """Dense Hamiltonian over configurations (all of the sector where none are given)."""
    columns = rows if columns is None else columns
    return np.array([[slow_element(integrals, bra, ket) for ket in columns] for bra in rows]).reshape(
        len(rows), len(columns)
    )


def sector_hamiltonian(integrals: MolecularIntegrals) -> np.ndarray:
    """Dense Hamiltonian over :func:`configurations` of its own sector."""
    return slow_hamiltonian(
        integrals, configurations(integrals.n_orbitals, integrals.n_alpha, integrals.n_beta)
    )


def openfermion_matrix(integrals: MolecularIntegrals):
    """OpenFermion's sparse matrix of the Hamiltonian on the whole Fock space of 2M interleaved modes."""
    import openfermion

    from hamiltonians.formats.second_quantised import interleaved_positions

    m = integrals.n_orbitals
    modes = interleaved_positions(m).reshape(2, m)
    whole = integrals.spin_resolved()
    full = whole.unpack_two_body()
    one_body = np.zeros((2 * m, 2 * m))
    two_body = np.zeros((2 * m,) * 4)
    for s in (0, 1):
        one_body[np.ix_(modes[s], modes[s])] = whole.one_body[s]
        for t in (0, 1):
            # (pq|rs) stands before a+_p a+_r a_s a_q.
            v = full[s + t] if s <= t else full[1].transpose(2, 3, 0, 1)
            two_body[np.ix_(modes[s], modes[t], modes[t], modes[s])] = 0.5 * v.transpose(0, 2, 3, 1)
    operator = openfermion.InteractionOperator(integrals.constant, one_body, two_body)
    return openfermion.get_sparse_operator(operator).tocsr()


def openfermion_sector(matrix, n_orbitals, configs) -> np.ndarray:
    """Block of :func:`openfermion_matrix` over configurations, in the phases of blocked spin orbitals."""
    from hamiltonians.formats.second_quantised import interleaved_positions

    modes = interleaved_positions(n_orbitals).reshape(2, n_orbitals)
    states, phases = [], []
    for alpha, beta in configs:
        order = [*modes[0][list(alpha)], *modes[1][list(beta)]]
        # Mode 0 is the most significant bit.
        states.append(sum(1 << int(2 * n_orbitals - 1 - mode) for mode in order))
        inversions = sum(x > y for k, x in enumerate(order) for y in order[k + 1 :])
        phases.append((-1) ** inversions)
    block = matrix[states][:, states].toarray()
    assert np.abs(block.imag).max(initial=0.0) < 1e-12
    return np.outer(phases, phases) * block.real


def even_spin_basis(configs) -> tuple[list[int], np.ndarray]:
    """Rows of one configuration of every spin-flip pair, and the orthonormal even combinations (n, pairs).

    The representative is the one whose alpha string is the smaller binary number.
    """
    index = {config: k for k, config in enumerate(configs)}
    representatives = [
        k
        for k, (alpha, beta) in enumerate(configs)
        if sum(1 << p for p in alpha) <= sum(1 << q for q in beta)
    ]
    basis = np.zeros((len(configs), len(representatives)))
    for column, k in enumerate(representatives):
        alpha, beta = configs[k]
        basis[k, column] = basis[index[beta, alpha], column] = 1.0
    return representatives, basis / np.linalg.norm(basis, axis=0)


def lowest_energy(integrals: MolecularIntegrals, *, even_spin: bool = False) -> float:
    """Lowest eigenvalue of the sector, among states even under spin flip where asked for."""
    configs = configurations(integrals.n_orbitals, integrals.n_alpha, integrals.n_beta)
    matrix = slow_hamiltonian(integrals, configs)
    if even_spin:
        basis = even_spin_basis(configs)[1]
        matrix = basis.T @ matrix @ basis
    return float(np.linalg.eigvalsh(matrix)[0])


def random_variables(model, n_inputs, seed=0, scale=0.5) -> dict:
    """Variables of a Flax module filled with random numbers; much quicker than its own initialisation."""
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, n_inputs)))
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(scale * rng.normal(size=leaf.shape), leaf.dtype), shapes)


@partial(jax.jit, static_argnums=0)
def log_psi(model, variables, x) -> jax.Array:
    """Complex log psi of a Flax module, compiled once a module and shape."""
    return model.apply(variables, x)


def normalised_amplitudes(logarithms, multiplicity=None) -> jax.Array:
    """Normalised amplitudes c from complex log psi on a list of determinants, differentiable."""
    psi = jnp.exp(jnp.real(logarithms)) * jnp.where(jnp.cos(jnp.imag(logarithms)) < 0, -1.0, 1.0)
    if multiplicity is not None:
        psi = psi * jnp.sqrt(multiplicity)
    return psi / jnp.linalg.norm(psi)


def flat(tree) -> np.ndarray:
    """All leaves as one vector, in the order of ``ravel_pytree``."""
    return np.asarray(ravel_pytree(tree)[0])


def second_order_energy(
    tables,
    determinants: np.ndarray,
    amplitudes: np.ndarray,
    energy: float,
    fold: bool = False,
    threshold: float = 0.0,
    n_partitions: int | None = None,
) -> float:
    """Epstein-Nesbet second-order correction of V over its connected space, Hartree.

    ``E2 = sum_{j not in V} |<j|H|psi_V>|^2 / (E - H_jj)`` (Epstein, Phys. Rev. 28, 695 (1926);
    Nesbet, Proc. R. Soc. A 230, 312 (1955)).

    ``energy`` is the Rayleigh quotient of psi on V.
    """
    total = 0.0
    for keys, sums in connected_partitions(tables, determinants, amplitudes, fold, threshold, n_partitions):
        if len(keys):
            denominators = energy - diagonal_elements(tables, keys)
            # A vanishing denominator means that j belongs into V: bounded instead of infinite.
            denominators = np.minimum(denominators, -1e-3)
            total += float(np.sum(multiplicities(keys, fold) * sums**2 / denominators))
    return total

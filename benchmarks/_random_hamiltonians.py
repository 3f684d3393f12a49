"""Small random Hamiltonians and lattices, symmetric with and without a name; exact ground states."""

from itertools import combinations

import numpy as np

from hamiltonians import InputError, Lattice, MolecularIntegrals, exact_levels

#: Ways in which Hamiltonians are random.
KINDS = (
    "dense", "parity", "named parity", "two parities", "fragments", "sites", "degenerate", "rotated", "spins",
    "diagonal", "huge", "tiny",
)  # fmt: skip
_SIZES = ("2x1", "3x1", "4x1", "5x1", "6x1", "7x1", "2x2", "3x2", "4x2", "3x3")
_MOST_CONFIGURATIONS = 1300


def random_hamiltonian(seed: int) -> tuple[str, MolecularIntegrals]:
    """Return the kind and the Hamiltonian of a seed; 2 to 6 orbitals, any filling."""
    rng = np.random.default_rng(seed)
    kind, size = KINDS[seed % len(KINDS)], int(rng.integers(2, 7))
    one_body, factors = _symmetric(rng, size), np.stack([_symmetric(rng, size) for _ in range(size)])
    codes = rng.integers(0, 4 if kind == "two parities" else 2, size)
    if kind in ("parity", "named parity", "two parities", "rotated"):
        one_body, factors = _even(rng, codes, one_body, factors)
    elif kind == "fragments":
        part = codes[:, None] == codes
        one_body, factors = one_body * part, factors * part
    elif kind == "sites":
        one_body = one_body * (np.abs(np.subtract.outer(range(size), range(size))) < 2)
        factors = np.stack([np.diag(np.eye(size)[p]) for p in range(size)])
    elif kind == "degenerate":
        one_body, factors = np.diag(np.round(np.diag(one_body))), np.round(factors)
    elif kind == "diagonal":
        one_body, factors = one_body * np.eye(size), factors * np.eye(size)
    signs = rng.choice([1.0, 1.0, -1.0], len(factors))
    two_body = 0.4 * np.einsum("k,kpq,krs->pqrs", signs, factors, factors)
    if kind == "rotated":
        turn = np.linalg.qr(rng.normal(size=(size, size)))[0]
        one_body = turn.T @ one_body @ turn
        two_body = np.einsum("pqrs,pi,qj,rk,sl->ijkl", two_body, *[turn] * 4, optimize=True)
    elif kind == "spins":
        one_body = np.stack([one_body, _symmetric(rng, size)])
        mixed = 0.4 * np.einsum("kpq,krs->pqrs", factors, np.roll(factors, 1, axis=0))
        two_body = np.stack([two_body, mixed, two_body[::-1, ::-1, ::-1, ::-1]])
    scale = {"huge": 10.0 ** rng.uniform(1, 4), "tiny": 10.0 ** rng.uniform(-12, -4)}.get(kind, 1.0)
    n_alpha, n_beta = (int(n) for n in rng.integers(0, size + 1, 2))
    irreps = tuple(str(code + 1) for code in codes) if kind == "named parity" else None
    return kind, MolecularIntegrals.from_full(
        float(rng.normal()), scale * one_body, scale * two_body, n_alpha, n_beta, orbital_irreps=irreps
    )


def random_lattice(seed: int) -> Lattice:
    """Return the lattice of a seed: attractive, twisted, frustrated, with t', open, any filling."""
    rng = np.random.default_rng([seed, 1])
    while True:
        kind = str(rng.choice(["tv", "hubbard"]))
        size, geometry = (
            str(rng.choice(_SIZES)),
            str(rng.choice(["square", "square", "triangular", "honeycomb"])),
        )
        boundary = [rng.choice(["pbc", "pbc", "apbc", "open", f"{rng.uniform(-0.5, 0.5):.3f}"]) for _ in "xy"]
        strength, next_hopping = rng.uniform(-8.0, 8.0), rng.choice([0.0, rng.uniform(-1.0, 1.0)])
        couplings = {"U": float(strength)} if kind == "hubbard" else {"V": float(strength)}
        if kind == "hubbard" and rng.random() < 0.3:
            couplings["V"] = float(rng.uniform(-2.0, 2.0))
        n_sites = int(np.prod([int(n) for n in size.split("x")])) * (2 if geometry == "honeycomb" else 1)
        particles = tuple(int(n) for n in rng.integers(0, n_sites + 1, 2 if kind == "hubbard" else 1))
        if size.endswith("x1"):
            boundary[1] = "open"
        try:
            model = Lattice(
                kind,
                size,
                particles,
                t=float(rng.choice([1.0, 1.0, -1.0])),
                t_prime=float(next_hopping),
                geometry=geometry,
                boundary=tuple(map(str, boundary)),
                **couplings,
            )
            _ = model.bonds
        except InputError:  # t' without second neighbours, and the like
            continue
        if 1 < model.n_configurations <= _MOST_CONFIGURATIONS:
            return model


def exact_ground_state(problem: MolecularIntegrals | Lattice) -> float:
    """Return the lowest energy with so many particles of each spin, whatever its symmetry."""
    if isinstance(problem, Lattice):
        return float(exact_levels(problem).energies[0])
    (h_alpha, h_beta), size = problem.spin_blocks[0], problem.n_orbitals
    blocks = problem.spin_resolved().unpack_two_body()
    alpha, beta = (_moves(size, number) for number in (problem.n_alpha, problem.n_beta))
    matrix = np.einsum("pqrs,pqij,rskl->ikjl", blocks[1], alpha, beta, optimize=True)
    for moves, h, pairs, place in ((alpha, h_alpha, blocks[0], 0), (beta, h_beta, blocks[2], 1)):
        # a+_p a+_r a_s a_q = E_pq E_rs - delta_qr E_ps
        effective = h - 0.5 * np.einsum("pqqs->ps", pairs)
        own = np.einsum("pq,pqij->ij", effective, moves)
        own = own + 0.5 * np.einsum("pqrs,pqij,rsjk->ik", pairs, moves, moves, optimize=True)
        other = np.eye(matrix.shape[1 - place])
        matrix = matrix + np.einsum("ij,kl->ikjl" if place == 0 else "kl,ij->ikjl", own, other)
    dimension = matrix.shape[0] * matrix.shape[1]
    return float(np.linalg.eigvalsh(matrix.reshape(dimension, dimension))[0]) + problem.constant


def _moves(size: int, number: int) -> np.ndarray:
    """E_pq = a+_p a_q (M, M, n, n) between all ways to put electrons of one spin into orbitals."""
    strings = list(combinations(range(size), number))
    place = {string: at for at, string in enumerate(strings)}
    found = np.zeros((size, size, len(strings), len(strings)))
    for string in strings:
        for q in string:
            rest = [orbital for orbital in string if orbital != q]
            for p in sorted(set(range(size)) - set(rest)):
                crossed = string.index(q) + sum(orbital < p for orbital in rest)
                found[p, q, place[tuple(sorted([*rest, p]))], place[string]] = (-1) ** crossed
    return found


def _even(rng: np.random.Generator, codes: np.ndarray, one_body: np.ndarray, factors: np.ndarray) -> tuple:
    """The same, with parities of the codes conserved."""
    products = codes[:, None] ^ codes
    kept = [factor * (products == rng.choice(products.ravel())) for factor in factors]
    return one_body * (products == 0), np.stack(kept)


def _symmetric(rng: np.random.Generator, size: int) -> np.ndarray:
    matrix = rng.normal(size=(size, size))
    return 0.5 * (matrix + matrix.T)

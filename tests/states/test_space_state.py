"""The selected-space state and its energies of every kind, against dense linear algebra."""

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import pytest

from nnbf.ansatz import NeuralBackflow
from nnbf.determinants import enumerate_sector, spin_flip
from nnbf.operators import MolecularHamiltonian
from nnbf.states import (
    Space,
    SpaceState,
    connected_estimates,
    full_sum_energy,
    spin_square,
    symmetry_sector,
)
from nnbf.states.estimates import apply_hamiltonian
from tests.determinants.oracles import (
    bit_strings,
    configurations,
    even_spin_basis,
    flat,
    log_psi,
    occupations,
    random_integrals,
    random_variables,
    second_order_energy,
    slow_hamiltonian,
)


class Case:
    """A random network on a random space V, and everything about it in dense form."""

    def __init__(self, kind):
        rng = np.random.default_rng(3)
        self.size, n_alpha, n_beta = {"folded": (4, 2, 2), "average": (4, 2, 2)}.get(kind, (4, 2, 1))
        flips = {"folded": "canonical", "average": "average"}.get(kind, "none")
        self.fold = flips != "none"
        self.integrals = random_integrals(
            self.size, n_alpha, n_beta, seed=2, spin_resolved=kind == "spin-resolved"
        )
        self.configs = configurations(self.size, n_alpha, n_beta)
        self.matrix = slow_hamiltonian(self.integrals, self.configs)
        model = NeuralBackflow(self.size, n_alpha, n_beta, hidden=(4,), spin_flip=flips)
        variables = random_variables(model, 2 * self.size, seed=1)
        values = log_psi(model, variables, jnp.asarray(occupations(self.configs, self.size)))
        self.network = np.exp(np.asarray(values)).real
        candidates = even_spin_basis(self.configs)[0] if self.fold else range(len(self.configs))
        self.chosen = rng.permutation(list(candidates))[:9]
        rows = bit_strings(self.configs, self.size)
        self.space = rows[self.chosen]
        index = {config: k for k, config in enumerate(self.configs)}
        inside = set(self.chosen.tolist())
        if self.fold:
            inside |= {index[self.configs[k][::-1]] for k in self.chosen}
        self.inside = np.array([k in inside for k in range(len(self.configs))])
        self.state = SpaceState(
            MolecularHamiltonian(self.integrals), model, space=self.space, variables=variables
        )
        # psi on V, zero outside, normalised over all determinants.
        self.norm = np.linalg.norm(self.network[self.inside])
        self.psi = np.where(self.inside, self.network / self.norm, 0.0)
        self.energy = float(self.psi @ self.matrix @ self.psi)


@pytest.fixture(scope="module", params=["plain", "spin-resolved", "folded", "average"])
def case(request) -> Case:
    return Case(request.param)


def test_amplitudes_and_energy(case):
    state = case.state
    assert state.spin_flip == case.fold
    assert np.array_equal(state.determinants, case.space)
    assert np.linalg.norm(state.amplitudes()) == pytest.approx(1.0)
    assert np.allclose(np.abs(state.wave_function()), np.abs(case.psi[case.chosen]), rtol=1e-10)
    relative = state.wave_function() / case.psi[case.chosen]
    assert np.allclose(relative, relative[0], rtol=1e-10)
    stats = state.expect(state.hamiltonian)
    inside = np.where(case.inside, case.matrix @ case.psi, 0.0)
    assert stats.mean == pytest.approx(case.energy, abs=1e-11)
    assert stats.error_of_mean == 0.0
    assert stats.variance == pytest.approx(np.sum((inside - case.energy * case.psi) ** 2), abs=1e-10)
    assert state.energy_at(state.variables) == pytest.approx(case.energy, abs=1e-11)


def test_gradient_against_finite_differences(case):
    state = case.state
    stats, gradient = state.expect_and_grad(state.hamiltonian)
    assert stats.mean == pytest.approx(case.energy, abs=1e-11)
    rng = np.random.default_rng(0)
    direction = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), state.parameters)
    energies = [
        state.energy_at({"params": jax.tree.map(lambda p, d, s=step: p + s * d, state.parameters, direction)})
        for step in (-1e-5, 1e-5)
    ]
    slope = (energies[1] - energies[0]) / 2e-5
    assert abs(slope) > 1e-3
    assert flat(gradient) @ flat(direction) == pytest.approx(slope, rel=1e-5)


def test_another_operator(case):
    """Expectation values of operators that the space was not built for."""
    other = random_integrals(
        case.size,
        case.integrals.n_alpha,
        case.integrals.n_beta,
        77,
        spin_resolved=case.integrals.is_spin_resolved,
    )
    expected = case.psi @ slow_hamiltonian(other, case.configs) @ case.psi
    assert case.state.expect(MolecularHamiltonian(other)).mean == pytest.approx(expected, abs=1e-11)


def test_estimates_over_the_connected_space(case):
    found = connected_estimates(case.state)
    product = case.matrix @ case.psi
    outside = ~case.inside
    # sum_V w_i E_loc(i) with E_loc over everything that the row reaches.
    local = (case.matrix @ case.network)[case.inside] / case.network[case.inside]
    assert found.projected == pytest.approx(np.sum(case.psi[case.inside] ** 2 * local), abs=1e-10)
    variance = np.sum((product - case.energy * case.psi) ** 2)
    assert found.variance == pytest.approx(variance, abs=1e-10)
    gaps = np.minimum(case.energy - np.diag(case.matrix), -1e-3)
    assert found.second_order == pytest.approx(np.sum((product**2 / gaps)[outside]), rel=1e-10)
    brute = second_order_energy(
        case.state.hamiltonian.tables, case.space, case.state.wave_function(), case.energy, case.fold
    )
    assert found.second_order == pytest.approx(brute, rel=1e-12)
    reached = outside & (np.abs(case.matrix[:, case.inside]).max(axis=1) > 1e-13)
    pairs = {
        frozenset([config, config[::-1]]) for config, hit in zip(case.configs, reached, strict=True) if hit
    }
    assert found.n_connected == (len(pairs) if case.fold else reached.sum())
    without = connected_estimates(case.state, projected=False)
    assert without.projected is None
    assert without.second_order == found.second_order


def test_full_sum(case):
    state = case.state
    sector = symmetry_sector(state, np.zeros(case.size, int), 10_000)
    psi = case.network / np.linalg.norm(case.network)
    expected = psi @ case.matrix @ psi
    energy, variance = full_sum_energy(state, sector)
    assert energy == pytest.approx(expected, abs=1e-10)
    assert variance == pytest.approx(psi @ case.matrix @ case.matrix @ psi - expected**2, abs=1e-9)
    amplitudes = np.random.default_rng(4).normal(size=len(sector))
    whole = SpaceState(state.hamiltonian, state.model, space=sector, variables=state.variables)
    root = np.sqrt(whole.multiplicity)
    applied = apply_hamiltonian(state, sector, amplitudes)
    assert np.allclose(applied, whole.matrix @ (root * amplitudes) / root, rtol=0, atol=1e-10)


def test_batches_do_not_change_amplitudes(case, monkeypatch):
    rows = bit_strings(case.configs, case.size)
    expected = case.state.signed_log(rows)
    monkeypatch.setattr("nnbf.states.amplitudes.BATCH", 7)
    found = case.state.signed_log(rows)
    assert np.array_equal(found[0], expected[0])
    assert np.allclose(found[1], expected[1], rtol=1e-12)
    assert np.allclose(found[0] * np.exp(found[1]), case.network, rtol=1e-10)


def spin_square_matrix(configs):
    """S^2 = S_- S_+ + S_z (S_z + 1), with S_+ = sum_p a+_p(alpha) a_p(beta) on sorted spin orbitals."""
    n_alpha, n_beta = map(len, configs[0])
    raised = {}
    columns = []
    for alpha, beta in configs:
        image = {}
        for q in beta:
            if q not in alpha:
                # a_q(beta) passes n_alpha electrons and beta below q; then a+_q passes alpha below q.
                sign = (-1) ** (n_alpha + beta.index(q) + sum(p < q for p in alpha))
                target = (tuple(sorted((*alpha, q))), tuple(p for p in beta if p != q))
                image[raised.setdefault(target, len(raised))] = sign
        columns.append(image)
    s_plus = np.zeros((len(raised), len(configs)))
    for column, image in enumerate(columns):
        for row, sign in image.items():
            s_plus[row, column] = sign
    s_z = 0.5 * (n_alpha - n_beta)
    return s_plus.T @ s_plus + s_z * (s_z + 1) * np.eye(len(configs))


def test_spin_of_a_state(case):
    found = spin_square(case.state)
    if case.integrals.is_spin_resolved:
        assert found is None
    else:
        expected = case.psi @ spin_square_matrix(case.configs) @ case.psi
        assert found == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(("n_alpha", "n_beta"), [(2, 2), (3, 1), (1, 3), (2, 1), (4, 0), (0, 0), (4, 4)])
def test_spin_of_every_sector(n_alpha, n_beta):
    """The oracle's eigenvalues are S (S + 1), and the code agrees with it on random amplitudes."""
    configs = configurations(4, n_alpha, n_beta)
    matrix = spin_square_matrix(configs)
    spins = (np.sqrt(4 * np.linalg.eigvalsh(matrix) + 1) - 1) / 2
    assert np.allclose(2 * spins, np.round(2 * spins), atol=1e-7)
    assert spins.min() == pytest.approx(abs(n_alpha - n_beta) / 2, abs=1e-7)
    state = SpaceState(
        MolecularHamiltonian(random_integrals(4, n_alpha, n_beta)),
        model := NeuralBackflow(4, n_alpha, n_beta, hidden=()),
        space=bit_strings(configs, 4),
        variables=random_variables(model, 8, seed=9),
    )
    psi = state.wave_function()
    assert spin_square(state) == pytest.approx(psi @ matrix @ psi, abs=1e-10)


def test_symmetry_sectors():
    irreps = np.array([0, 1, 0, 1])
    integrals = random_integrals(4, 2, 1, reference=((0, 1), (2,)))
    model = NeuralBackflow(4, 2, 1, hidden=())
    state = SpaceState(MolecularHamiltonian(integrals), model, variables=random_variables(model, 8))
    sector = symmetry_sector(state, irreps, 1000)
    assert set(map(bytes, sector)) == set(map(bytes, enumerate_sector(4, 2, 1, irreps, 1)))
    assert bytes(state.hamiltonian.reference[0]) in set(map(bytes, sector))
    assert len(symmetry_sector(state, irreps, len(sector))) == len(sector)
    assert symmetry_sector(state, irreps, len(sector) - 1) is None
    assert symmetry_sector(state, np.zeros(4, int), 3) is None


def test_folded_states_accept_either_of_a_flip_pair():
    case = Case("folded")
    state = case.state
    energy = state.expect(state.hamiltonian).mean
    state.set_determinants(spin_flip(case.space))
    assert np.array_equal(state.determinants, case.space)
    assert state.expect(state.hamiltonian).mean == energy


def test_amplitudes_follow_the_parameters():
    case = Case("plain")
    before = case.state.amplitudes()
    case.state.parameters = random_variables(case.state.model, 8, seed=5)["params"]
    after = case.state.amplitudes()
    assert np.abs(before - after).max() > 0.01
    fresh = SpaceState(
        case.state.hamiltonian, case.state.model, space=case.space, variables=case.state.variables
    )
    assert np.array_equal(fresh.amplitudes(), after)


def test_default_space_is_the_reference_and_seeds_matter():
    integrals = random_integrals(3, 2, 1, reference=((0, 2), (1,)))
    hamiltonian = MolecularHamiltonian(integrals)
    model = NeuralBackflow(3, 2, 1, hidden=(3,), reference=integrals.reference_occupation)
    first, again, other = (SpaceState(hamiltonian, model, seed=seed) for seed in (4, 4, 5))
    assert np.array_equal(first.determinants, bit_strings([((0, 2), (1,))], 3))
    assert np.array_equal(flat(first.parameters), flat(again.parameters))
    assert np.abs(flat(first.parameters) - flat(other.parameters)).max() > 0.01
    config = [((0, 2), (1,))]
    assert first.expect(hamiltonian).mean == pytest.approx(
        slow_hamiltonian(integrals, config)[0, 0], abs=1e-11
    )
    assert "n_states=1" in repr(first)


@pytest.mark.parametrize(("n_alpha", "n_beta", "spin_resolved"), [(2, 1, False), (1, 1, True)])
def test_spin_flip_is_refused_where_there_is_no_such_symmetry(n_alpha, n_beta, spin_resolved):
    integrals = random_integrals(3, n_alpha, n_beta, spin_resolved=spin_resolved)
    model = NeuralBackflow(3, n_alpha, n_beta, hidden=())
    hamiltonian = MolecularHamiltonian(integrals)
    with pytest.raises(
        ValueError, match="spin flip needs as many alpha as beta electrons in the same orbitals"
    ):
        SpaceState(hamiltonian, model, Space.reference(hamiltonian, spin_flip=True))


def test_repeated_determinants_are_refused():
    case = Case("plain")
    case.state.set_determinants(np.concatenate([case.space, case.space[:1]]))
    with pytest.raises(ValueError, match="occurs twice"):
        case.state.expect(case.state.hamiltonian)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_amplitudes_that_are_not_finite_are_an_error(value):
    """NaN, an overflow, and a state that vanishes everywhere."""
    case = Case("plain")
    if value == 0.0:
        case.state.parameters = jax.tree.map(jnp.zeros_like, case.state.parameters)
    else:
        case.state.parameters = jax.tree.map(lambda leaf: leaf.at[0].set(value), case.state.parameters)
    with pytest.raises(FloatingPointError, match="not finite"):
        case.state.amplitudes()


def test_it_is_a_netket_state(case):
    assert isinstance(case.state, nk.vqs.VariationalState)
    assert case.state.hilbert == case.state.hamiltonian.hilbert
    x = jnp.asarray(occupations(case.configs, case.size))
    assert np.allclose(np.exp(np.asarray(case.state.log_value(x))).real, case.network, rtol=1e-10)
    assert case.state.n_parameters == flat(case.state.parameters).size

"""Monte Carlo on lattices: estimates against full sums, optimisation, resumption."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import netket as nk
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from hamiltonians import (
    InputError,
    Lattice,
    exact_levels,
    lattice_configurations,
    lattice_to_sparse,
    space_group,
)
from hamiltonians.lattice.hartree_fock import mean_field
from nnbf.drivers import LatticeOptions, Monitor, make_lattice_ansatz, solve
from nnbf.drivers.level_observables import level_observables
from nnbf.drivers.sector_levels import _single_determinant, sampled_lattice_state
from nnbf.operators import LatticeHamiltonian
from nnbf.operators.lattice import s_squared_diagonal, spin_exchanges
from nnbf.states import Objective, SpinPenalty, sampled_step
from tests.determinants.oracles import log_psi

MODEL = Lattice("tv", (4, 2), 3, V=1.5, boundary=("apbc", "pbc"))
SMALL = LatticeOptions(features=3, depth=1, n_samples=1024, seed=3, cell=(1, 1), sampling_power=2.0)


@pytest.fixture(scope="module")
def sector():
    return space_group(MODEL).sector((1, 1), None)


@pytest.fixture(scope="module")
def state(sector):
    return sampled_lattice_state(MODEL, sector, SMALL)


@pytest.fixture(scope="module")
def everything(state):
    """All configurations, psi there, and the derivatives of psi by real parameters."""
    configurations = jnp.asarray(lattice_configurations(MODEL), jnp.int8)
    flat, unravel = ravel_pytree(state.parameters)

    def parts(p):
        psi = jnp.exp(state.model.apply({"params": unravel(p)}, configurations))
        return jnp.stack([psi.real, psi.imag])

    value, tangents = (np.asarray(f(flat)) for f in (jax.jit(parts), jax.jit(jax.jacfwd(parts))))
    return np.asarray(configurations), value[0] + 1j * value[1], tangents[0] + 1j * tangents[1]


@pytest.mark.slow
def test_a_complex_state_is_sampled(state, everything):
    _, psi, _ = everything
    assert not state.model.is_real
    assert np.abs((psi / psi[np.abs(psi).argmax()]).imag).max() > 0.05


def test_estimates_are_those_of_the_full_sum(state, everything):
    configurations, psi, tangents = everything
    matrix = lattice_to_sparse(MODEL)
    weights = np.abs(psi) ** 2 / np.sum(np.abs(psi) ** 2)
    energy = (psi.conj() @ (matrix @ psi) / np.sum(np.abs(psi) ** 2)).real
    found = sampled_step(state, LatticeHamiltonian(MODEL))
    assert abs(float(found.statistics.mean) - energy) < 5 * float(found.statistics.error_of_mean)
    assert float(found.statistics.error_of_mean) < 0.3
    # Local energies are exact, one by one.
    place = {c.astype(np.int8).tobytes(): i for i, c in enumerate(configurations)}
    rows = [place[x.astype(np.int8).tobytes()] for x in found.samples.occupations]
    local = (matrix @ psi)[rows] / psi[rows]
    np.testing.assert_allclose(found.samples.local_energies, local, atol=1e-9)
    # Half the gradient of the energy, from the same shares as the samples have.
    shares = found.samples.counts / found.samples.counts.sum()
    log_derivatives = (tangents / psi[:, None])[rows]
    mean = shares @ local
    centred = log_derivatives - shares @ log_derivatives
    gradient = (centred.conj().T @ (shares * (local - mean))).real
    vector, _ = ravel_pytree(found.problem.backward(found.problem.residual))
    np.testing.assert_allclose(vector, gradient, atol=1e-8)
    # ... and the real part of the geometric tensor.
    tensor = (centred.conj().T @ (shares[:, None] * centred)).real
    rows_ = np.asarray(found.problem.rows)
    np.testing.assert_allclose(rows_.T @ rows_, tensor, atol=1e-8)
    np.testing.assert_allclose(found.problem.kernel(), rows_ @ rows_.T, atol=1e-12)
    assert weights @ np.abs(psi) > 0


def test_netket_expect_agrees(state):
    hamiltonian = LatticeHamiltonian(MODEL)
    found = sampled_step(state, hamiltonian)
    expected = state.expect(hamiltonian)
    assert complex(expected.mean).real == pytest.approx(float(found.statistics.mean), abs=1e-9)


@pytest.mark.slow
def test_samples_of_another_power_are_weighted(sector, everything):
    """Energy, error and gradient from |psi|^1.2 agree with sums over all configurations."""
    _, psi, tangents = everything
    state = sampled_lattice_state(MODEL, sector, replace(SMALL, n_samples=8192, sampling_power=1.2))
    found = sampled_step(state, LatticeHamiltonian(MODEL))
    h = lattice_to_sparse(MODEL)
    weights = np.abs(psi) ** 2 / np.sum(np.abs(psi) ** 2)
    exact = float((psi.conj() @ (h @ psi)).real / (psi.conj() @ psi).real)
    statistics = found.statistics
    assert abs(float(statistics.mean) - exact) < 4 * float(statistics.error_of_mean) < 0.1
    residual = (h @ psi) / psi - exact
    assert float(statistics.variance) == pytest.approx(weights @ np.abs(residual) ** 2, rel=0.15)
    derivatives = tangents / psi[:, None]
    gradient = ((derivatives - weights @ derivatives).conj().T @ (weights * residual)).real
    vector, _ = ravel_pytree(found.problem.backward(found.problem.residual))
    assert np.linalg.norm(vector - gradient) < 0.2 * np.linalg.norm(gradient)
    # Without weights the energy would be another one.
    plain = float(np.mean(found.samples.local_energies.real[found.samples.of_sample]))
    assert abs(plain - exact) > 8 * float(statistics.error_of_mean)


@pytest.mark.slow
def test_reaches_the_level_and_resumes(sector):
    exact = exact_levels(MODEL, sector, k=1).energies[0]
    options = replace(SMALL, max_steps=30, final_samples=4096)
    rows, saved = [], {}

    def keep(take, must):
        saved[len(saved)] = take()
        return True

    whole = solve(MODEL, options, method="vmc", sector=sector, monitor=Monitor(rows.append, save=keep)).lowest
    assert whole.status == "max_steps"
    assert abs(whole.energy.value - exact) < max(4 * whole.energy.error, 0.03 * abs(exact))
    assert whole.energy.value > exact - 4 * whole.energy.error
    assert rows[-1]["energy_kind"] == "vmc"
    again = []
    part = solve(
        MODEL, options, method="vmc", sector=sector, monitor=Monitor(again.append, resume=saved[20])
    ).lowest
    assert again[0]["step"] == 20
    assert [row["energy"] for row in again] == [row["energy"] for row in rows[20:]]
    assert part.energy.value == whole.energy.value


def test_rows_of_irreps_must_be_chosen():
    model = Lattice("tv", (4, 4), 5, V=1.0)
    with pytest.raises(InputError, match="row"):
        solve(model, method="vmc", sector=space_group(model).sector((0, 0), "E"))


@pytest.mark.slow
def test_spin_penalty_is_that_of_s_squared():
    """What the step follows is H + w S^2, with S^2 as a dense matrix; its energies are those of H."""
    model = Lattice("hubbard", (2, 2), (2, 2), U=3.0, boundary="open")
    configurations = lattice_configurations(model).astype(np.int8)
    place = {c.tobytes(): i for i, c in enumerate(configurations)}
    row, images, sign = spin_exchanges(configurations, model.n_sites)
    s_squared = np.diag(s_squared_diagonal(configurations, model.n_sites))
    np.add.at(s_squared, (row, [place[c.tobytes()] for c in images]), sign)
    h = lattice_to_sparse(model).toarray()
    np.testing.assert_allclose(s_squared @ h, h @ s_squared, atol=1e-12)
    spins = np.round(np.linalg.eigvalsh(s_squared), 10)
    assert dict(zip(*np.unique(spins, return_counts=True), strict=True)) == {0.0: 20, 2.0: 15, 6.0: 1}

    sector = space_group(model).sector((0, 0), None)
    state = sampled_lattice_state(model, sector, replace(SMALL, n_samples=256, noise=0.5))
    plain = sampled_step(state, LatticeHamiltonian(model))
    found = sampled_step(state, Objective(LatticeHamiltonian(model), (SpinPenalty(0.7),)))
    assert float(found.statistics.mean) == float(plain.statistics.mean)
    psi = np.exp(np.asarray(log_psi(state.model, state.variables, jnp.asarray(configurations))))
    local = ((h + 0.7 * s_squared) @ psi / psi)[[place[c.tobytes()] for c in found.samples.occupations]]
    weights = found.samples.counts / found.samples.counts.sum()
    expected = np.sqrt(weights) * (local - weights @ local).real
    np.testing.assert_allclose(found.problem.residual[: len(local)], expected, atol=1e-9)


@pytest.mark.slow
def test_works_in_netket_drivers(state):
    copy = nk.vqs.MCState(
        state.sampler, state.model, n_samples=1024, variables=state.variables, n_discard_per_chain=0
    )
    driver = nk.driver.VMC_SR(
        LatticeHamiltonian(MODEL),
        nk.optimizer.Sgd(0.05),
        variational_state=copy,
        diag_shift=0.01,
        mode="complex",
    )
    log = nk.logging.RuntimeLog()
    driver.run(2, out=log, show_progress=False)
    assert np.all(np.isfinite(np.asarray(log.data["Energy"]["Mean"])))


CLOSED = Lattice("tv", (3, 3), 5, V=1.0)


def test_the_warm_up_is_for_the_irrep_of_the_lowest_filling():
    group, options = space_group(CLOSED), LatticeOptions(features=2, depth=1)
    warm = []
    for irrep in group.irreps((0, 0)):
        sector = group.sector((0, 0), irrep.name, row=0 if irrep.dimension > 1 else None)
        if sector.n_states:
            ansatz = make_lattice_ansatz(CLOSED, sector, options)
            plain = _single_determinant(CLOSED, sector, ansatz)
            if plain is not None:
                warm.append(irrep.name)
                assert (ansatz.n_passes, plain.n_passes) == (8, 1)
    # Four orbitals that the point group permutes: odd under the diagonal mirrors or the axes, as on 4x4.
    assert warm == ["B2"]


@pytest.mark.slow
def test_the_warm_up_of_a_sum_over_translations_is_one_determinant():
    """What the warm-up has found, the sum goes on with: the same state but for the noise in its orbitals."""
    sector = space_group(CLOSED).sector((0, 0), None)
    options = LatticeOptions(features=2, depth=1, method="vmc", noise=1e-9, n_samples=32)
    ansatz = make_lattice_ansatz(CLOSED, sector, options, "vmc")
    plain = _single_determinant(CLOSED, sector, ansatz)
    assert ansatz.backflow.orbitals[0].trainable
    assert not plain.backflow.orbitals[0].trainable
    assert _single_determinant(CLOSED, sector, plain) is None
    warm = sampled_lattice_state(CLOSED, sector, options, ansatz=plain)
    warm.parameters = jax.tree.map(lambda leaf: leaf + 0.1, warm.parameters)
    state = sampled_lattice_state(CLOSED, sector, options, ansatz=ansatz, start=warm.variables)
    x = lattice_configurations(CLOSED)[::7]
    ratio = np.exp(np.asarray(state.log_value(x)) - np.asarray(warm.log_value(x)))
    assert np.allclose(ratio, ratio[0], rtol=1e-6)


@pytest.mark.slow
def test_stages_resume():
    sector = space_group(CLOSED).sector((0, 0), "B2")
    options = LatticeOptions(
        features=2, depth=1, n_samples=64, warm_up=3, max_steps=3, final_samples=64, seed=1, cell=(1, 1)
    )
    rows, saved = [], []

    def keep(take, must):
        saved.append(take())
        return True

    whole = solve(
        CLOSED, options, method="vmc", sector=sector, monitor=Monitor(rows.append, save=keep)
    ).lowest
    assert whole.n_steps == 6
    assert [row["step"] for row in rows] == [0, 1, 2, 0, 1, 2]
    assert whole.state.model.n_passes == 8
    for stage in (0, 1):
        place = next(
            i for i, s in enumerate(saved) if s["stage"] == stage and s["run"]["driver"]["step"] == 2
        )
        again = []
        part = solve(
            CLOSED, options, method="vmc", sector=sector, monitor=Monitor(again.append, resume=saved[place])
        ).lowest
        assert [row["energy"] for row in again] == [row["energy"] for row in rows[3 * stage + 2 :]]
        assert part.energy.value == whole.energy.value


def test_open_shells_start_from_hartree_fock():
    model = Lattice("hubbard", (2, 2), (2, 2), U=4.0, V=0.1)
    sector = space_group(model).sector((0, 0), None)
    options = LatticeOptions(features=2, depth=1, method="vmc")
    ansatz = make_lattice_ansatz(model, sector, options, "vmc")
    assert ansatz.backflow.orbitals[0].n_determinants == 1
    found = mean_field(model)
    for orbitals, rows in zip(ansatz.backflow.orbitals, found.orbitals, strict=True):
        np.testing.assert_allclose(orbitals.amplitudes.wrapped[0], rows)
    free = make_lattice_ansatz(model, sector, replace(options, orbitals="free"), "vmc")
    assert free.backflow.orbitals[0].n_determinants > 1
    with pytest.raises(InputError, match="give cell 2,2"):
        make_lattice_ansatz(model, sector, replace(options, orbitals="hartree-fock", cell=(1, 1)), "vmc")
    with pytest.raises(InputError, match="one determinant"):
        LatticeOptions(orbitals="hartree-fock", n_determinants=2)


@pytest.mark.slow
def test_half_filling_is_projected_on_total_spin():
    """The triplet at M, from the determinant of an antiferromagnet, close to the exact level."""
    model = Lattice("hubbard", (2, 2), (2, 2), U=4.0)
    options = LatticeOptions(
        features=3, depth=1, n_samples=256, max_steps=25, final_samples=2048, seed=1, learning_rate=0.1
    )
    sector = space_group(model).sector((1, 1), None)
    level = solve(model, options, method="vmc", sector=sector).lowest
    assert level.state.model.backflow.total_spin == 1.0
    exact = exact_levels(model, sector).energies[0]
    assert abs(level.energy.value - exact) < 0.02 * abs(exact) + 4 * level.energy.error
    assert level.energy.value > exact - 4 * level.energy.error
    spin = level_observables(model, level).s_squared
    assert abs(spin.value - 2.0) < 0.05 + 4 * spin.error

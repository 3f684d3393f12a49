"""Response of lattices against sums over all eigenstates."""

from dataclasses import replace

import numpy as np
import pytest

from hamiltonians import InputError, Lattice, lattice_configurations
from nnbf.observables.spectral_function import broadened
from nnbf.operators import LatticeHamiltonian
from nnbf.response import response_space
from nnbf.response.krylov import lanczos_poles
from nnbf.response.ladder_terms import LadderTerms
from nnbf.response.named_operators import OPERATORS, channels
from nnbf.response.response_options import ResponseOptions
from nnbf.response.response_record import response_of
from nnbf.response.spectra import KnownState, spectrum_of

TV = Lattice("tv", (4, 2), 3, V=1.0)
HUBBARD = Lattice("hubbard", (2, 2), (2, 1), U=4.0, boundary=("apbc", "open"))
TWISTED = Lattice("tv", (4, 2), 3, V=1.0, boundary=(0.3, "pbc"))
OMEGA = np.linspace(-12.0, 14.0, 300)


def ground(model):
    hamiltonian = LatticeHamiltonian(model)
    rows = hamiltonian.pack(lattice_configurations(model))
    _, vectors = np.linalg.eigh(hamiltonian.matrix(rows).toarray())
    return KnownState.of(hamiltonian, rows, vectors[:, 0], complete=True)


def matrix_of(channel, state):
    """O as a dense matrix between all configurations, column by column."""
    target = channel.changed or state.hamiltonian
    rows = target.pack(lattice_configurations(target.model))
    place = {tuple(row): k for k, row in enumerate(rows.tolist())}
    matrix = np.zeros((len(rows), len(state.configurations)), complex)
    for column in range(len(state.configurations)):
        keys, values = channel.operators[0].applied(
            state.hamiltonian, state.configurations[column : column + 1], np.ones(1)
        )
        matrix[[place[tuple(key)] for key in keys.tolist()], column] = values
    return target, rows, matrix


@pytest.mark.parametrize("model", [TV, HUBBARD, TWISTED], ids=["tv", "hubbard", "twisted"])
def test_all_operators_against_lehmann(model):
    state, checked = ground(model), 0
    for operator in OPERATORS["lattice"]:
        if operator.startswith("spin") and not model.is_spinful:
            continue
        for channel in channels(model, operator):
            target, rows, matrix = matrix_of(channel, state)
            image = matrix @ state.amplitudes
            if channel.changed is None:
                image = image - np.vdot(state.amplitudes, image) * state.amplitudes
            if np.linalg.norm(image) < 1e-8:
                continue
            energies, vectors = np.linalg.eigh(target.matrix(rows).toarray())
            positions = channel.sign * (energies - state.energy)
            exact = broadened(positions, np.abs(vectors.conj().T @ image) ** 2, OMEGA)
            found = spectrum_of(state, channel, max_space=5000, steps=100)
            assert found.complete
            curve = broadened(found.positions, found.weights, OMEGA)
            assert curve == pytest.approx(exact, abs=1e-7), (operator, channel.label)
            for name, value in found.moments.items():
                if name.endswith("defect"):
                    assert abs(value) < 1e-8, (operator, channel.label, name)
            checked += 1
    assert checked >= 8


def test_drude_weight_is_the_curvature_of_the_energy_with_the_twist():
    model = Lattice("tv", (4, 2), 3, V=1.0, boundary=(0.1, 0.0))
    state = ground(model)
    found = response_of(model, state, "current", channels(model, "current"), ResponseOptions(yardstick=False))
    sums = found.record()["states"][0]["optical"]["x"]
    step = 1e-3
    energies = [ground(replace(model, boundary=(0.1 + shift, 0.0))).energy for shift in (-step, 0.0, step)]
    # A twist of theta is a vector potential of theta / L.
    curvature = np.dot(energies, [1.0, -2.0, 1.0]) / (2 * np.pi * step / 4) ** 2
    assert sums["drude"] == pytest.approx(np.pi / model.n_sites * curvature, rel=1e-4)
    assert sums["drude"] / 2 + sums["regular"] == pytest.approx(sums["f_sum"], abs=1e-12)


def test_spectra_of_a_space_that_is_regrown_converge_to_the_exact_one():
    model = Lattice("tv", (4, 3), 5, V=2.0)
    hamiltonian = LatticeHamiltonian(model)
    rows = hamiltonian.pack(lattice_configurations(model))
    start = np.exp(-0.5 * hamiltonian.diagonal(lattice_configurations(model)))
    state = KnownState.of(hamiltonian, rows, start, complete=True).eigenvector()
    assert state.variance == 0.0
    channel = channels(model, "density", [(2, 1)])[0]
    exact = spectrum_of(state, channel, max_space=5000, steps=60)
    assert exact.complete
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(response_space, "_closure", lambda *arguments: None)
        found = spectrum_of(state, channel, max_space=400, steps=60)
    assert not found.complete
    assert found.space == 400
    assert found.moments["total_weight_expected"] == pytest.approx(exact.moments["total_weight"])
    missing = [1.0 - row["total_weight"] / exact.moments["total_weight"] for row in found.convergence]
    assert missing[0] > missing[-1] > 0
    assert missing[-1] < 0.2
    lowest = [row["first_moment"] for row in found.convergence]
    assert abs(lowest[-1] - exact.moments["first_moment"]) < abs(lowest[0] - exact.moments["first_moment"])


def test_several_starts_give_common_poles_and_dependent_ones_count_once():
    state = ground(TV)
    matrix = state.hamiltonian.matrix(state.configurations)
    rng = np.random.default_rng(0)
    starts = rng.normal(size=(len(state.configurations), 2))
    block = lanczos_poles(matrix, np.column_stack([starts, starts[:, 0] + starts[:, 1]]), 40)
    energies, vectors = np.linalg.eigh(matrix.toarray())
    for column in range(2):
        exact = broadened(energies, (vectors.T @ starts[:, column]) ** 2, OMEGA)
        curve = broadened(block.energies, np.abs(block.amplitudes[:, column]) ** 2, OMEGA)
        assert curve == pytest.approx(exact, rel=1e-8)
    assert block.closed
    assert block.residuals.max() == 0.0
    short = lanczos_poles(matrix, starts[:, :1], 8)
    nearest = np.abs(short.energies[:, None] - energies[None]).min(axis=1)
    assert np.all(nearest <= short.residuals + 1e-12)


def test_an_operator_that_vanishes_is_refused():
    state = ground(TV)
    with pytest.raises(InputError, match="vanishes"):
        spectrum_of(state, channels(TV, "density", [(0, 0)])[0], max_space=100, steps=5)
    none = replace(channels(TV, "density", [(1, 0)])[0], operators=(LadderTerms.diagonal(np.zeros(8)),))
    with pytest.raises(InputError, match="vanishes"):
        spectrum_of(state, none, max_space=100, steps=5)

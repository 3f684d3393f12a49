"""Charge excitations: the choice of sectors, on exact levels; a whole run on a small chain."""

from types import SimpleNamespace

import numpy as np
import pytest

from hamiltonians import InputError, Lattice, exact_levels, space_group
from hamiltonians.lattice.exact import sector_basis
from nnbf.drivers import charge_levels
from nnbf.drivers.charge_levels import charge_excitations, sampled_charge_weight
from nnbf.drivers.level import Level, Outcome
from nnbf.drivers.monitor import Monitor
from nnbf.drivers.options import LatticeOptions
from nnbf.drivers.sector_levels import sector_state
from nnbf.estimate import Estimate
from nnbf.observables.quasiparticle import (
    ConfigurationTable,
    Removal,
    plane_wave,
    with_changed_filling,
)
from nnbf.observables.spectral_function import exact_charge_excitations
from nnbf.report.state_figures import draw_spectral
from nnbf.states.amplitudes import log_psi_function
from tests.observables.vectors import enumerated_weight


@pytest.fixture
def exactly(monkeypatch):
    """Levels of sectors by diagonalisation: what is left is the choice of sectors and the weights."""
    solved = []

    def spectrum(model, sectors, options, *, levels, exact_limit, monitor):
        levels_found = []
        for sector in sectors:
            found = exact_levels(model, sector, k=levels)
            for number, energy in enumerate(found.energies):
                solved.append((model.particles, sector.label, number))
                vector = found.vectors[:, number]
                level = Level(
                    problem=model,
                    energy=Estimate(float(energy), kind="full_sum", unit="t", variance=0.0),
                    status="converged",
                    n_steps=1,
                    n_parameters=1,
                    wall_time_s=0.0,
                    model=None,
                    parameters=None,
                    sector=sector,
                    number=number,
                    state=SimpleNamespace(vector=lambda vector=vector: vector),
                )
                levels_found.append(level)
        return Outcome(model, tuple(levels_found))

    monkeypatch.setattr(charge_levels, "spectrum", spectrum)
    return solved


def assert_weights_are_exact(found, exact, tolerance=1e-9):
    assert found.charge_gap == pytest.approx(exact.charge_gap, abs=tolerance)
    assert found.mu_plus == pytest.approx(exact.mu_plus, abs=tolerance)
    for momentum, n_k in found.occupations.items():
        assert n_k == pytest.approx(exact.occupations[momentum], abs=tolerance)
    for e in found.excitations:
        (same,) = [f for f in exact.of(e.momentum, e.change) if abs(f.energy - e.energy) < 100 * tolerance]
        if not e.allowed:
            assert e.weight < 1e-5
            continue
        partners = [
            f
            for f in found.of(e.momentum, e.change)
            if f.allowed and abs(f.energy - e.energy) < 100 * tolerance
        ]
        assert same.weight == pytest.approx(sum(f.weight for f in partners), abs=tolerance)
        assert same.omega == pytest.approx(e.omega, abs=100 * tolerance)
        assert same.target == e.target


def test_the_level_that_carries_the_weight_is_found(exactly):
    """k = 0, 5 -> 4 particles: the lowest level has none by symmetry, one above it nearly all of n_k."""
    model = Lattice("tv", (4, 4), 5, V=1.0)
    found = charge_excitations(model, momenta=[(0, 0), (1, 0), (3, 0)], changes=[-1])
    assert (found.ground.label, found.ground_degeneracy) == ("(0,0) B2", 1)
    assert found.mu_minus == pytest.approx(-10.240650492312 + 9.012245668770, abs=1e-9)
    assert (found.mu_plus, found.charge_gap) == (None, None)
    lowest, carrier = found.of((0, 0), -1)
    assert not lowest.allowed
    assert lowest.weight < 1e-20
    assert (carrier.allowed, carrier.irrep) == (True, "B2")
    assert carrier.energy > lowest.energy + 0.1
    assert found.coverage((0, 0), -1) > 0.999
    assert found.of((1, 0), -1)[0].weight == pytest.approx(0.977000, abs=1e-6)
    # (3,0) is (1,0) turned around: nothing is solved for it.
    assert [e.weight for e in found.of((3, 0))] == [e.weight for e in found.of((1, 0))]
    assert [e.target for e in found.of((3, 0), -1)] == [(1, 0)] * len(found.of((3, 0), -1))
    assert len(set(exactly)) == len(exactly)


def test_levels_above_are_sought_where_the_lowest_has_no_weight(exactly):
    """The torus of 4x4 sites is a hypercube: its symmetry forbids more than the point group knows of."""
    model = Lattice("tv", (4, 4), 5, V=1.0)
    *without, carrier = charge_excitations(model, momenta=[(1, 0)], changes=[1]).of((1, 0), 1)
    assert [e.weight for e in without] == pytest.approx([0.0] * len(without), abs=1e-20)
    assert {(e.irrep, e.level) for e in without if e.allowed} == {("A''", n) for n in range(carrier.level)}
    assert carrier.level > 0
    assert carrier.weight == pytest.approx(0.015707246, abs=1e-8)


def test_weights_are_those_of_exact_levels(exactly):
    """The lowest levels of each irrep that couples are among all exact ones, weights included."""
    model = Lattice("tv", (4, 3), 3, V=2.0)
    found = charge_excitations(model)
    assert {e.change for e in found.excitations} == {-1, 1}
    assert_weights_are_exact(found, exact_charge_excitations(model, ground=found.ground))


@pytest.mark.parametrize(
    ("model", "spin"),
    [
        (Lattice("tv", (3, 3), 2, V=2.0), 0),
        (Lattice("hubbard", (3, 2), (1, 2), U=4.0, boundary=("apbc", 0.2)), 1),
        (Lattice("tv", (2, 2), 1, V=1.0, geometry="honeycomb"), 0),
    ],
    ids=["degenerate", "spin and twist", "two sites a cell"],
)
def test_all_levels_fulfil_the_sum_rule(exactly, model, spin):
    """Every level of every sector that couples: n_k and 1 - n_k, degenerate partners counted once."""
    found = charge_excitations(model, spin=spin, levels=10_000)
    for momentum in found.occupations:
        assert found.coverage(momentum, -1) == pytest.approx(1.0, abs=1e-9)
        assert found.coverage(momentum, 1) == pytest.approx(1.0, abs=1e-9)
    if model.lattice.n_basis == 1:
        assert sum(found.occupations.values()) == pytest.approx(model.particles[spin], abs=1e-9)
    record = found.record()
    assert len(record["excitations"]) == len(found.excitations)
    assert record["charge_gap"] == pytest.approx(found.charge_gap)


DIMER = Lattice("hubbard", (2, 1), (1, 1), U=6.0)
# Quick to compile; a network changes nothing in what is tested here.
QUICK = LatticeOptions(backflow="none")


def test_picture_has_a_row_for_each_different_momentum(exactly):
    model = Lattice("tv", (4, 2), 3, V=2.0)
    found = charge_excitations(model).record()
    exact = exact_charge_excitations(model).record()
    figure = draw_spectral(found, exact, width=0.2, shape="gaussian")
    # (1, my) and (3, my) are mirror images.
    assert len(figure.axes) == 6
    removal, addition, reference = (line.get_xydata() for line in figure.axes[0].lines[:3])
    assert np.trapezoid(reference[:, 1], reference[:, 0]) == pytest.approx(1.0, abs=0.01)
    row = found["momenta"][0]
    shown = row["removal_coverage"] * row["occupation"]
    assert np.trapezoid(removal[:, 1], removal[:, 0]) == pytest.approx(shown, abs=1e-6)
    assert np.all(removal[:, 1] + addition[:, 1] < reference[:, 1] + 1e-9)
    assert len(draw_spectral(found, momenta=[(0, 1)]).axes) == 1
    with pytest.raises(InputError, match="not in this result"):
        draw_spectral(found, momenta=[(7, 0)])


@pytest.mark.slow
def test_optimised_states_have_the_exact_weights():
    """Only the state of two particles has anything to optimise; it is one of a degenerate pair."""
    model = Lattice("tv", (4, 1), 2, V=3.0)
    seen = []
    found = charge_excitations(model, QUICK, monitor=Monitor(on_level=seen.append))
    exact = exact_charge_excitations(model, ground=found.ground)
    assert [(level.problem.particles, level.status) for level in seen] == [((2,), "converged")]
    assert found.ground_energy == pytest.approx(exact.ground_energy, abs=1e-8)
    assert found.ground_degeneracy == exact.ground_degeneracy == 2
    assert_weights_are_exact(found, exact, 1e-5)
    weights = [e.weight for e in found.excitations if e.change < 0]
    assert sum(weights) == pytest.approx(2.0, abs=1e-5)
    assert min(abs(weight - 0.5) for weight in weights) < 0.45


def test_networks_give_the_weights_of_their_vectors():
    """Amplitudes of networks, enumerated and sampled, against their states expanded from the sectors."""
    models = DIMER, with_changed_filling(DIMER, -1, 1)
    sectors = [space_group(model).sector((0, 0)) for model in models]
    states = [sector_state(model, sector, QUICK) for model, sector in zip(models, sectors, strict=True)]
    vectors = [
        sector_basis(model, sector).expand(state.vector()[:, None])[:, 0]
        for model, sector, state in zip(models, sectors, states, strict=True)
    ]
    tables = [ConfigurationTable(model) for model in models]
    made = Removal(*tables, 1).matrix(plane_wave(DIMER, (0, 0))) @ vectors[0]
    expected = abs(np.vdot(vectors[1], made)) ** 2
    assert 0.1 < expected < 0.99
    logs = [log_psi_function(state.model, state.variables, DIMER.n_sites) for state in states]
    assert enumerated_weight(DIMER, (0, 0), *logs, spin=1) == pytest.approx(expected, abs=1e-10)
    rng = np.random.default_rng(3)
    chains = [
        SimpleNamespace(
            model=state.model,
            variables=state.variables,
            sampler=SimpleNamespace(machine_pow=2.0),
            samples=table.occupations[rng.choice(len(table), size=(16, 64), p=np.abs(psi) ** 2)],
        )
        for state, table, psi in zip(states, tables, vectors, strict=True)
    ]
    found = sampled_charge_weight(DIMER, (0, 0), *chains, spin=1)
    assert abs(found.value - expected) < 4 * found.error
    assert found.error < 0.1


def test_bad_input():
    model = Lattice("tv", (3, 2), 2)
    with pytest.raises(InputError, match="not on the lattice"):
        charge_excitations(model, momenta=[(5, 0)])
    with pytest.raises(InputError, match="no particle to remove"):
        charge_excitations(Lattice("tv", (3, 2), 0), changes=[-1])
    with pytest.raises(InputError, match="levels must be"):
        charge_excitations(model, levels=0)
    with pytest.raises(InputError, match="there is one"):
        charge_excitations(model, spin=1)
    with pytest.raises(InputError, match="or samples"):
        charge_excitations(Lattice("tv", (6, 6), 13))

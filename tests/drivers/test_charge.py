"""Charge excitations: the choice of sectors, on exact levels; a whole run on a small chain."""

from types import SimpleNamespace

import numpy as np
import pytest

from hamiltonians import InputError, LatticeModel, exact_levels, space_group
from hamiltonians.exact_lattice import sector_basis
from nnbf.drivers import charge
from nnbf.drivers.charge import amplitudes_of, charge_excitations
from nnbf.drivers.lattice import SectorLevel, sector_state
from nnbf.drivers.lattice_options import LatticeOptions
from nnbf.observables.charge import exact_charge_excitations
from nnbf.observables.quasiparticle import (
    ConfigurationTable,
    Removal,
    SampledWave,
    enumerated_weight,
    plane_wave,
    sampled_weight,
    with_changed_filling,
)


@pytest.fixture
def exactly(monkeypatch):
    """Levels of sectors by diagonalisation: what is left is the choice of sectors and the weights."""
    solved = []

    def solve(model, sectors, options, *, levels, exact_limit, on_step):
        for sector in sectors:
            found = exact_levels(model, sector, k=levels)
            for number, energy in enumerate(found.energies):
                solved.append((model.particles, sector.label, number))
                vector = found.vectors[:, number]
                level = SectorLevel(
                    sector, number, float(energy), 0.0, 0.0, "converged", 1, 1, 0.0,
                    SimpleNamespace(vector=lambda vector=vector: vector),
                )  # fmt: skip
                yield {}, level

    monkeypatch.setattr(charge, "solve_spectrum", solve)
    return solved


def assert_weights_are_exact(found, exact):
    assert found.charge_gap == pytest.approx(exact.charge_gap, abs=1e-9)
    assert found.mu_plus == pytest.approx(exact.mu_plus, abs=1e-9)
    for momentum, n_k in found.occupations.items():
        assert n_k == pytest.approx(exact.occupations[momentum], abs=1e-9)
    for e in found.excitations:
        same = [f for f in exact.of(e.momentum, e.change) if abs(f.energy - e.energy) < 1e-7]
        assert [f.weight for f in same] == [pytest.approx(e.weight, abs=1e-9)]
        assert same[0].omega == pytest.approx(e.omega, abs=1e-7)
        assert same[0].target == e.target


def test_the_level_that_carries_the_weight_is_found(exactly):
    """k = 0, 5 -> 4 particles: the lowest level has none by symmetry, one above it nearly all of n_k."""
    model = LatticeModel("tv", (4, 4), 5, V=1.0)
    found = charge_excitations(model, momenta=[(0, 0), (1, 0), (3, 0)])
    assert (found.ground.label, found.ground_degeneracy) == ("(0,0) B2", 1)
    assert_weights_are_exact(found, exact_charge_excitations(model, momenta=found.occupations))
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


@pytest.mark.parametrize(
    ("model", "spin"),
    [
        (LatticeModel("tv", (3, 3), 2, V=2.0), 0),
        (LatticeModel("hubbard", (3, 2), (1, 2), U=4.0, boundary=("apbc", 0.2)), 1),
        (LatticeModel("tv", (2, 2), 2, V=1.0, geometry="honeycomb"), 0),
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


DIMER = LatticeModel("hubbard", (2, 1), (1, 1), U=6.0)
SMALL = LatticeOptions(features=2, depth=1, noise=0.3)


def test_optimised_states_have_the_exact_weights():
    """Two electrons on two sites with hopping 2t: the weights are cos^2 and sin^2 of one angle."""
    seen = []
    found = charge_excitations(DIMER, LatticeOptions(backflow="none"), on_level=seen.append)
    hopping, U = 2.0, DIMER.U
    energy = 0.5 * (U - np.hypot(U, 4 * hopping))
    bonding = 0.5 * (1 + 4 * hopping / np.hypot(U, 4 * hopping))
    assert found.ground_energy == pytest.approx(energy, abs=1e-6)
    assert found.charge_gap == pytest.approx(U - 2 * hopping - 2 * energy, abs=1e-6)
    for momentum, weight in (((0, 0), bonding), ((1, 0), 1 - bonding)):
        assert found.occupations[momentum] == pytest.approx(weight, abs=1e-4)
        (removal,) = found.of(momentum, -1)
        (addition,) = found.of(momentum, 1)
        assert (removal.weight, addition.weight) == pytest.approx((weight, 1 - weight), abs=1e-4)
    assert {level.model.particles for level in seen} == {(1, 1)}
    assert all(level.status == "converged" for level in seen)


def test_networks_give_the_weights_of_their_vectors():
    """Amplitudes of a network, enumerated and sampled, against its state expanded from the sector."""
    sector = space_group(DIMER).sector((0, 0))
    smaller = with_changed_filling(DIMER, -1, 1)
    state = sector_state(DIMER, sector, SMALL)
    vector = sector_basis(DIMER, sector).expand(state.vector()[:, None])[:, 0]
    tables = ConfigurationTable(DIMER), ConfigurationTable(smaller)
    one = np.full(2, np.sqrt(0.5))
    expected = abs(one @ (Removal(*tables, 1).matrix(plane_wave(DIMER, (0, 0))) @ vector)) ** 2
    logs = amplitudes_of(state.model, state.variables, 2), lambda rows: np.zeros(len(rows), complex)
    assert enumerated_weight(DIMER, (0, 0), *logs, spin=1) == pytest.approx(expected, abs=1e-10)
    assert 0.1 < expected < 0.99
    rng = np.random.default_rng(3)
    waves = [
        SampledWave(log_psi, table.occupations[rng.choice(len(table), size=(16, 64), p=np.abs(psi) ** 2)])
        for log_psi, table, psi in zip(logs, tables, (vector, one), strict=True)
    ]
    found = sampled_weight(DIMER, (0, 0), *waves, spin=1)
    assert abs(found.value - expected) < 4 * found.error


def test_bad_input():
    model = LatticeModel("tv", (3, 2), 2)
    with pytest.raises(InputError, match="not on the lattice"):
        charge_excitations(model, momenta=[(5, 0)])
    with pytest.raises(InputError, match="levels must be"):
        charge_excitations(model, levels=0)
    with pytest.raises(InputError, match="there is one"):
        charge_excitations(model, spin=1)
    with pytest.raises(InputError, match="sample both states"):
        charge_excitations(LatticeModel("tv", (6, 6), 13))

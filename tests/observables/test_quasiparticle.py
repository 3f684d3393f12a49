"""Matrix elements of c_k: against creation and annihilation operators on the whole Fock space."""

import numpy as np
import pytest

from hamiltonians import (
    InputError,
    Lattice,
    all_sectors,
    exact_levels,
    lattice_configurations,
    space_group,
)
from nnbf.observables.quasiparticle import (
    ConfigurationTable,
    Removal,
    SampledWave,
    plane_wave,
    sampled_weight,
    with_changed_filling,
)
from nnbf.observables.spectral_function import (
    broadened,
    coupling_irreps,
    exact_charge_excitations,
    target_momentum,
)
from tests.observables.vectors import enumerated_weight

SPINLESS = Lattice("tv", (4, 2), 3, V=1.5, boundary=("apbc", "pbc"))
SPINFUL = Lattice("hubbard", (3, 2), (2, 2), U=4.0, boundary=(0.2, "pbc"))


def fock_annihilator(n_modes, mode):
    """c of one mode on occupation numbers, by Jordan and Wigner: the first mode is the slowest index."""
    parity, lower = np.diag([1.0, -1.0]), np.array([[0.0, 1.0], [0.0, 0.0]])
    matrix = np.ones((1, 1))
    for other in range(n_modes):
        factor = parity if other < mode else lower if other == mode else np.eye(2)
        matrix = np.kron(matrix, factor)
    return matrix


def fock_rows(model):
    """Numbers of the model's configurations in the Fock space."""
    occupations = lattice_configurations(model).astype(int)
    return occupations @ (1 << np.arange(model.n_modes)[::-1])


def log_of(model, vector):
    """log psi of configurations, looked up in a vector."""
    table = ConfigurationTable(model)

    def log_psi(occupations):
        with np.errstate(divide="ignore"):
            return np.log(np.asarray(vector, complex)[table.rows(occupations)])

    return log_psi


def level(model, momentum, irrep=None, k=1, row=None):
    found = exact_levels(model, space_group(model).sector(momentum, irrep), k=k)
    return found.energies[k - 1], found.full_vectors(row)[:, k - 1]


@pytest.mark.parametrize(
    ("model", "spin"), [(SPINLESS, 0), (Lattice("hubbard", (2, 2), (2, 1)), 1)], ids=["tv", "spin down"]
)
def test_removal_is_that_of_jordan_and_wigner(model, spin):
    smaller = with_changed_filling(model, -1, spin)
    momentum = (1, 1)
    wave = plane_wave(model, momentum)
    modes = range(spin * model.n_sites, (spin + 1) * model.n_sites)
    whole = sum(w.conj() * fock_annihilator(model.n_modes, mode) for w, mode in zip(wave, modes, strict=True))
    expected = whole[np.ix_(fock_rows(smaller), fock_rows(model))]
    found = Removal(ConfigurationTable(model), ConfigurationTable(smaller), spin).matrix(wave)
    assert np.abs(found.toarray() - expected).max() < 1e-14


@pytest.mark.parametrize(("model", "spin"), [(SPINLESS, 0), (SPINFUL, 1)], ids=["tv", "hubbard"])
def test_momenta_add_up_and_weights_to_the_occupation(model, spin):
    """c_k couples to one momentum only, with twists too, and there the weights sum to n_k."""
    smaller = with_changed_filling(model, -1, spin)
    start = (1, 1)
    state = level(model, start)[1]
    removal = Removal(ConfigurationTable(model), ConfigurationTable(smaller), spin)
    total = 0.0
    for momentum in space_group(model).momenta():
        made = removal.matrix(plane_wave(model, momentum)) @ state
        target = target_momentum(model, start, momentum, -1)
        sector = space_group(smaller).sector(target)
        vectors = exact_levels(smaller, sector, k=sector.n_states).full_vectors()
        weights = np.abs(vectors.conj().T @ made) ** 2
        assert weights.sum() == pytest.approx(np.vdot(made, made).real, abs=1e-10)
        total += weights.sum()
    assert total == pytest.approx(model.particles[spin], abs=1e-10)


def test_published_weights():
    """4x4, 5 -> 4 particles: 0.977000 at V = 1 and 0.474131 at V = 10; none for the lowest level at k = 0."""
    for V, expected in ((1.0, 0.977000), (10.0, 0.474131)):
        model = Lattice("tv", (4, 4), 5, V=V)
        smaller = with_changed_filling(model, -1)
        larger = log_of(model, level(model, (0, 0), "B2")[1])
        found = enumerated_weight(model, (1, 0), larger, log_of(smaller, 3.0 * level(smaller, (3, 0))[1]))
        assert found == pytest.approx(expected, abs=2e-6)
        forbidden = log_of(smaller, level(smaller, (0, 0))[1])
        assert enumerated_weight(model, (0, 0), larger, forbidden) < 1e-20


def test_exact_excitations_are_those_of_single_levels():
    model = Lattice("tv", (4, 4), 3, V=2.0)
    found = exact_charge_excitations(model, momenta=[(0, 0), (1, 0)])
    state = exact_levels(model, found.ground).full_vectors()[:, 0]
    energies = {c: min(levels.values()) for c, levels in found.lowest.items()}
    assert found.charge_gap == pytest.approx(energies[1] + energies[-1] - 2 * energies[0], abs=1e-10)
    for momentum in found.occupations:
        assert found.coverage(momentum, -1) == pytest.approx(1.0, abs=1e-10)
        assert found.coverage(momentum, 1) == pytest.approx(1.0, abs=1e-10)
        omega = np.linspace(-60.0, 90.0, 30_001)
        spectrum = found.spectral_function(momentum, omega, shape="gaussian")
        assert np.trapezoid(spectrum, omega) == pytest.approx(1.0, abs=1e-6)
    larger = with_changed_filling(model, 1)
    first = found.of((1, 0), 1)[0]
    energy, vector = level(larger, first.target)
    weight = enumerated_weight(larger, (1, 0), log_of(larger, vector), log_of(model, state))
    assert (first.energy, first.weight) == (pytest.approx(energy), pytest.approx(weight, abs=1e-10))
    assert first.omega == pytest.approx(energy - found.ground_energy)


@pytest.mark.parametrize("change", [-1, 1])
@pytest.mark.parametrize(
    ("model", "start"),
    [
        (Lattice("tv", (4, 4), 3, V=2.0), ((0, 0), "B1")),
        (Lattice("tv", (4, 4), 2, V=2.0), ((0, 0), "E")),
        (Lattice("tv", (4, 4), 3, V=1.0, boundary="apbc"), ((2, 0), None)),
    ],
    ids=["one row", "two rows", "antiperiodic"],
)
def test_irreps_that_couple_are_those_with_weight(model, start, change):
    """Over every irrep of the target momentum: weight where, and only where, it is said to be possible."""
    group, other = space_group(model), with_changed_filling(model, change)
    momentum, irrep = start
    irrep = irrep or group.irreps(momentum)[0].name
    ground = group.sector(momentum, irrep)
    tables = [ConfigurationTable(model), ConfigurationTable(other)]
    removal = Removal(*(tables if change < 0 else tables[::-1]))
    rng = np.random.default_rng(5)
    for k in [(0, 0), (1, 0), (1, 1)]:
        matrix = removal.matrix(plane_wave(model, k))
        matrix = matrix if change < 0 else matrix.conj().T
        target = target_momentum(model, momentum, k, change)
        coupled = coupling_irreps(ground, group, space_group(other), k, change)
        for name in (i.name for i in space_group(other).irreps(target)):
            weight = 0.0
            for row in range(ground.dimension):
                # Any state of the sector will do, and a random one has no accidental zero.
                basis = exact_levels(model, ground).basis
                state = basis.expand(rng.normal(size=(basis.n_states, 1)), row)
                sector = space_group(other).sector(target, name)
                partners = exact_levels(other, sector, k=max(sector.n_states, 1))
                for partner in range(sector.dimension if sector.n_states else 0):
                    vectors = partners.full_vectors(partner)
                    weight += float(np.sum(np.abs(vectors.conj().T @ (matrix @ state)) ** 2))
            if name not in coupled:
                assert weight < 1e-20
            elif sector.n_states > 5:
                assert weight > 1e-6


@pytest.mark.parametrize(("model", "spin"), [(SPINLESS, 0), (SPINFUL, 1)], ids=["tv", "hubbard"])
def test_sampled_weights_are_the_enumerated_ones(model, spin):
    """Samples drawn from the exact probabilities; states with norms far from 1."""
    smaller = with_changed_filling(model, -1, spin)
    rng = np.random.default_rng(11)
    first = all_sectors(model, irreps=False)[0]
    state = exact_levels(model, first).full_vectors()[:, 0]
    seen = []
    for momentum in space_group(model).momenta()[:3]:
        target = target_momentum(model, first.momentum, momentum, -1)
        vectors = [1e60 * state, 1e-30 * level(smaller, target)[1]]
        waves = []
        for filling, vector in zip((model, smaller), vectors, strict=True):
            chance = np.abs(vector) ** 2
            drawn = rng.choice(len(vector), size=(40, 100), p=chance / chance.sum())
            waves.append(SampledWave(log_of(filling, vector), lattice_configurations(filling)[drawn]))
        exact = enumerated_weight(model, momentum, waves[0].log_psi, waves[1].log_psi, spin=spin)
        found = sampled_weight(model, momentum, *waves, spin=spin)
        assert abs(found.value - exact) < 4 * found.error + 1e-12
        assert found.error < 0.05
        seen.append(exact)
    assert max(seen) > 0.3


def test_error_bars_are_the_spread_of_repeated_estimates():
    model, smaller = SPINLESS, with_changed_filling(SPINLESS, -1)
    rng = np.random.default_rng(2)
    sector = all_sectors(model, irreps=False)[0]
    target = target_momentum(model, sector.momentum, (1, 0), -1)
    pair = [(model, level(model, sector.momentum)[1]), (smaller, level(smaller, target)[1])]

    def once():
        waves = []
        for filling, vector in pair:
            drawn = rng.choice(len(vector), size=(20, 20), p=np.abs(vector) ** 2)
            waves.append(SampledWave(log_of(filling, vector), lattice_configurations(filling)[drawn]))
        return sampled_weight(model, (1, 0), *waves)

    repeated = [once() for _ in range(60)]
    spread = np.std([estimate.value for estimate in repeated])
    assert np.mean([estimate.error for estimate in repeated]) == pytest.approx(spread, rel=0.35)


def test_peaks_have_area_one():
    omega = np.linspace(-400.0, 400.0, 400_001)
    for shape in ("lorentzian", "gaussian"):
        curve = broadened([-1.0, 2.0], [0.25, 0.5], omega, width=0.2, shape=shape)
        assert np.trapezoid(curve, omega) == pytest.approx(0.75, abs=1e-3)
    assert omega[np.argmax(curve)] == pytest.approx(2.0, abs=1e-2)


def test_bad_input():
    one = Lattice("tv", (3, 2), 0)
    with pytest.raises(InputError, match="give 0 to 6"):
        with_changed_filling(one, -1)
    with pytest.raises(InputError, match="there is one"):
        with_changed_filling(one, 1, 1)
    with pytest.raises(InputError, match="not on the lattice"):
        plane_wave(one, (3, 0))
    with pytest.raises(InputError, match="or samples"):
        ConfigurationTable(Lattice("tv", (6, 6), 13))
    with pytest.raises(InputError, match="width must be positive"):
        broadened([0.0], [1.0], np.zeros(1), width=0.0)
    with pytest.raises(InputError, match="one particle less"):
        Removal(*(ConfigurationTable(Lattice("tv", (3, 2), n)) for n in (3, 1)))

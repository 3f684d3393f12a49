"""Observables of lattice states against exact vectors and brute-force sums; samples against both."""

import json

import numpy as np
import pytest

from hamiltonians import (
    InputError,
    Lattice,
    exact_levels,
    lattice_configurations,
    space_group,
)
from nnbf.observables import Configurations, lattice_observables
from nnbf.observables.correlations import correlation_ratio, correlations, structure_factor
from nnbf.observables.measured_symmetry import measured_symmetry, symmetry_parts
from nnbf.observables.spin import double_occupancy, lattice_s_squared
from nnbf.report.state_figures import draw_correlations, draw_structure_factor

TV = Lattice("tv", "4x4", 5, V=1.0)
HUBBARD = Lattice("hubbard", "4x2", "2,2", U=4.0)


def log_psi_of(model, vector):
    """Log psi from a vector on all configurations; the argument may hold any of them."""
    order = 1 << np.arange(model.n_modes, dtype=np.int64)
    keys = lattice_configurations(model) @ order
    sorting = np.argsort(keys)

    def log_psi(occupations):
        assert occupations.shape[1] == model.n_modes
        found = sorting[np.searchsorted(keys, occupations @ order, sorter=sorting)]
        with np.errstate(divide="ignore"):
            return np.log(vector[found].astype(complex)) + 3.0  # of any norm

    return log_psi


def level(model, momentum, irrep=None, *, number=0, **options):
    """Vector of the lowest (or a higher) level of a sector, normalised."""
    row = options.pop("row", None)
    sector = space_group(model).sector(momentum, irrep, **options)
    return exact_levels(model, sector, k=number + 1).full_vectors(row)[:, number]


def enumerated(model, vector):
    log_psi = log_psi_of(model, vector)
    return Configurations.enumerated(model, log_psi), log_psi


def sector_weight(sector, configurations, log_psi):
    """Weight <psi|P|psi> of a state in a sector: 1 if it lies in it."""
    parts = symmetry_parts(configurations, log_psi, sector.permutations, sector.phases, sector.spin_flips)
    return configurations.estimate((parts @ sector.weights).real)


def drawn(model, vector, shape, seed):
    """Independent configurations from the exact probabilities."""
    probabilities = np.abs(vector) ** 2
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(vector), size=shape, p=probabilities / probabilities.sum())
    return lattice_configurations(model)[chosen]


@pytest.fixture(scope="module")
def ground_state():
    return level(TV, (0, 0), "B2")


@pytest.fixture(scope="module")
def singlet():
    return level(HUBBARD, (0, 0), spin_flip="even")


# ---- correlations ----------------------------------------------------------------------------------


def brute_force(model, vector, quantity="density"):
    """<f_i f_j> from loops over configurations and pairs."""
    size = model.n_sites
    moments = np.zeros((size, size))
    for occupations, amplitude in zip(lattice_configurations(model), vector, strict=True):
        blocks = occupations.reshape(-1, size).astype(float)
        if quantity == "density":
            field = blocks.sum(axis=0) - model.n_particles / size
        else:
            field = (blocks[0] - blocks[1]) / 2
        moments += abs(amplitude) ** 2 * np.outer(field, field)
    return moments


def displacement(model, i, j):
    parts = []
    for axis in range(2):
        step = int(model.cells[j, axis] - model.cells[i, axis])
        if model.periodic[axis]:
            extent = model.size[axis]
            step = min((step + shift * extent for shift in (-1, 0, 1)), key=lambda d: (abs(d), -d))
        parts.append(step)
    return (int(model.sublattices[i]), int(model.sublattices[j]), *parts)


CASES = {
    "tv": (Lattice("tv", "3x3", 4, V=0.7), "density"),
    "cylinder, twist": (Lattice("tv", "4x3", 3, V=0.7, boundary=(0.2, "open")), "density"),
    "honeycomb": (Lattice("tv", "3x2", 3, V=0.7, geometry="honeycomb"), "density"),
    "hubbard": (Lattice("hubbard", "4x1", "2,1", U=3.0), "density"),
    "spin": (Lattice("hubbard", "3x2", "2,1", U=3.0, geometry="triangular"), "spin"),
}


@pytest.mark.parametrize("name", CASES)
def test_correlations_and_structure_factor_are_the_sums_over_pairs(name):
    model, quantity = CASES[name]
    rng = np.random.default_rng(5)
    vector = rng.normal(size=(model.n_configurations, 2)) @ [1.0, 1.0j]
    vector /= np.linalg.norm(vector)
    configurations, _ = enumerated(model, vector)
    moments = brute_force(model, vector, quantity)
    pairs, by_distance = {}, {}
    for i in range(model.n_sites):
        for j in range(model.n_sites):
            pairs.setdefault(displacement(model, i, j), []).append(moments[i, j])
            by_distance.setdefault(int(model.graph_distances[i, j]), []).append(moments[i, j])
    found = correlations(model, configurations, quantity)
    assert found.kind == "full_sum"
    assert not np.any(found.values.error)
    assert found.n_pairs.sum() == model.n_sites**2
    rows = np.column_stack([found.sublattices, found.displacements]).tolist()
    assert {tuple(row) for row in rows} == set(pairs)
    for row, count, value in zip(rows, found.n_pairs, found.values.value, strict=True):
        assert count == len(pairs[tuple(row)])
        assert value == pytest.approx(np.mean(pairs[tuple(row)]), abs=1e-13)
    expected = [np.mean(by_distance[distance]) for distance in range(max(by_distance) + 1)]
    np.testing.assert_allclose(found.by_distance.value, expected, atol=1e-13)
    factor = structure_factor(model, configurations, quantity)
    apart = model.positions[None, :] - model.positions[:, None]
    for m1 in range(model.size[0]):
        for m2 in range(model.size[1]):
            q = factor.wave_vectors[m1, m2]
            turns = np.array(model.lattice.vectors) @ q * np.array(model.size) / (2 * np.pi)
            np.testing.assert_allclose((turns - [m1, m2] + 0.5) % model.size, 0.5, atol=1e-9)
            total = np.sum(np.exp(1j * apart @ q) * moments) / model.n_sites
            assert abs(total.imag) < 1e-12
            assert factor.values.value[m1, m2] == pytest.approx(total.real, abs=1e-12)


def test_sum_rules_and_norm(ground_state):
    """S(0) = 0, sum_q S(q) = N (1 - N / N_s), sum_r C(r) = 0, C(0) = n (1 - n)."""
    configurations, _ = enumerated(TV, ground_state)
    factor = structure_factor(TV, configurations)
    assert factor.values.value[0, 0] == pytest.approx(0.0, abs=1e-13)
    assert factor.values.value.sum() == pytest.approx(5 * (1 - 5 / 16), abs=1e-12)
    found = correlations(TV, configurations)
    assert found.values.value.sum() == pytest.approx(0.0, abs=1e-13)
    assert found.by_distance.value[0] == pytest.approx(5 / 16 * 11 / 16, abs=1e-13)
    assert found.by_distance.value[1] < 0.0  # a hole around each particle
    np.testing.assert_allclose(factor.wave_vectors[2, 2], [np.pi, np.pi])
    np.testing.assert_allclose(factor.wave_vectors[3, 1], [-np.pi / 2, np.pi / 2])


def test_an_ordered_state_has_correlation_ratio_one():
    model = Lattice("tv", "4x4", 8, V=1.0)
    even = (model.cells.sum(axis=1) % 2).astype(np.uint8)

    def log_psi(occupations):
        order = np.all(occupations == even, axis=1) | np.all(occupations == 1 - even, axis=1)
        return np.where(order, 0.0, -80.0) + 0j

    configurations = Configurations.enumerated(model, log_psi)
    assert structure_factor(model, configurations).values.value[2, 2] == pytest.approx(16 / 4)
    assert correlation_ratio(model, configurations).value == pytest.approx(1.0)
    for open_or_odd in (Lattice("tv", "3x4", 3), Lattice("tv", "4x4", 3, boundary="open")):
        with pytest.raises(InputError, match=r"pi, pi|periodic"):
            correlation_ratio(open_or_odd, configurations)


def test_hubbard_derivative_gives_double_occupancy(singlet):
    """Hellmann and Feynman: dE/dU = N_s D."""
    step, sector = 1e-3, space_group(HUBBARD).sector((0, 0), spin_flip="even")
    energies = [
        exact_levels(Lattice("hubbard", "4x2", "2,2", U=4.0 + shift), sector).energies[0]
        for shift in (-step, step)
    ]
    configurations, _ = enumerated(HUBBARD, singlet)
    slope = (energies[1] - energies[0]) / (2 * step)
    assert double_occupancy(HUBBARD, configurations).value == pytest.approx(slope / 8, rel=1e-6)


# ---- symmetry --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("momentum", "irrep"), [((0, 0), "B2"), ((0, 0), "A1"), ((2, 2), "A2"), ((1, 0), "A''")]
)
def test_momentum_and_irrep_are_measured(momentum, irrep):
    group = space_group(TV)
    configurations, log_psi = enumerated(TV, level(TV, momentum, irrep))
    found = measured_symmetry(group, configurations, log_psi)
    assert (found.momentum, found.irrep) == (momentum, irrep)
    np.testing.assert_allclose(
        found.translations.value, np.exp(-0.5j * np.pi * np.array(momentum)), atol=1e-9
    )
    np.testing.assert_allclose(found.expected_translations, found.translations.value, atol=1e-9)
    for name, weight in found.irreps.items():
        assert weight.value == pytest.approx(float(name == irrep), abs=1e-9)
    (characters,) = (i.characters for i in group.irreps(momentum) if i.name == irrep)
    np.testing.assert_allclose(found.characters.value, characters, atol=1e-9)
    assert found.operations[0] == "rotation by 0 deg"
    assert len(found.operations) == len(characters)


@pytest.mark.parametrize("momentum", [(0, 1), (3, 2)])
def test_momentum_of_a_twisted_lattice(momentum):
    """Complex amplitudes: the phases are e^{-ik}, not their conjugates, and k holds N times the twist."""
    model = Lattice("tv", "4x3", 3, V=0.7, boundary=(0.2, "pbc"))
    group = space_group(model)
    configurations, log_psi = enumerated(model, level(model, momentum))
    found = measured_symmetry(group, configurations, log_psi)
    assert found.momentum == momentum
    k = 2 * np.pi * np.array([(momentum[0] + 3 * 0.2) / 4, momentum[1] / 3])
    np.testing.assert_allclose(found.translations.value, np.exp(-1j * k), atol=1e-9)
    weights = [
        float(sector_weight(group.sector((mx, momentum[1])), configurations, log_psi).value)
        for mx in range(4)
    ]
    np.testing.assert_allclose(weights, np.arange(4) == momentum[0], atol=1e-9)


def test_weights_of_a_mixture():
    """cos^2 and sin^2 of what was mixed; rows of E are told apart."""
    group = space_group(TV)
    rows = [level(TV, (0, 0), "E", row=row) for row in range(2)]
    mixed = np.sqrt(0.7) * level(TV, (0, 0), "B2") + np.sqrt(0.3) * (0.6 * rows[0] + 0.8j * rows[1])
    configurations, log_psi = enumerated(TV, mixed)
    found = measured_symmetry(group, configurations, log_psi)
    weights = {name: float(weight.value) for name, weight in found.irreps.items()}
    assert weights == pytest.approx({"A1": 0.0, "A2": 0.0, "B1": 0.0, "B2": 0.7, "E": 0.3}, abs=1e-9)
    for row, share in enumerate((0.36, 0.64)):
        sector = group.sector((0, 0), "E", row=row)
        assert sector_weight(sector, configurations, log_psi).value == pytest.approx(0.3 * share, abs=1e-9)


def test_expectation_is_that_of_the_matrix():
    """A random complex state and random elements: <psi|U|psi> from U as a matrix, spin flip included."""
    from hamiltonians import move_configurations

    model = Lattice("hubbard", "3x2", "2,2", U=3.0, boundary=(0.1, "pbc"))
    rng = np.random.default_rng(2)
    vector = rng.normal(size=(model.n_configurations, 2)) @ [1.0, 1.0j]
    vector /= np.linalg.norm(vector)
    configurations, log_psi = enumerated(model, vector)
    group = space_group(model)
    flips = np.arange(len(group.permutations)) % 2 == 0
    parts = symmetry_parts(configurations, log_psi, group.permutations, group.phases, flips)
    found = configurations.estimate(parts).value
    states = lattice_configurations(model)
    position = {tuple(state): index for index, state in enumerate(states.tolist())}
    for g, flip in enumerate(flips):
        moved, factors = move_configurations(states, group.permutations[g], group.phases[g], bool(flip))
        applied = np.zeros_like(vector)
        applied[[position[tuple(state)] for state in moved.tolist()]] = factors * vector
        assert found[g] == pytest.approx(np.vdot(vector, applied), abs=1e-12)


# ---- spin ------------------------------------------------------------------------------------------


def spin_raising(model):
    """S_+ as a matrix on the whole Fock space, modes joined by Jordan and Wigner's strings."""
    size = model.n_modes
    lower = np.array([[0.0, 1.0], [0.0, 0.0]])

    def annihilator(mode):
        matrix = np.eye(1)
        for other in range(size):
            part = lower if other == mode else np.diag([1.0, -1.0]) if other < mode else np.eye(2)
            matrix = np.kron(matrix, part)
        return matrix

    n = model.n_sites
    return sum(annihilator(i).T @ annihilator(n + i) for i in range(n))


@pytest.mark.parametrize("particles", ["2,2", "2,1", "3,1", "1,2"])
def test_s_squared_of_any_state(particles):
    model = Lattice("hubbard", "2x2", particles, U=3.0)
    rng = np.random.default_rng(3)
    vector = rng.normal(size=(model.n_configurations, 2)) @ [1.0, 1.0j]
    vector /= np.linalg.norm(vector)
    whole = np.zeros(2**model.n_modes, complex)
    whole[lattice_configurations(model) @ (1 << np.arange(model.n_modes)[::-1])] = vector
    plus = spin_raising(model)
    s_z = (model.particles[0] - model.particles[1]) / 2
    expected = s_z * (s_z + 1) + np.linalg.norm(plus @ whole) ** 2
    configurations, log_psi = enumerated(model, vector)
    found = lattice_s_squared(model, configurations, log_psi)
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert found.error == 0.0


@pytest.mark.parametrize("parity", ["even", "odd"])
def test_s_squared_and_spin_flip_of_levels(parity):
    """Every level is a singlet, triplet or quintet, and its spin flip (-1)^S."""
    group = space_group(HUBBARD)
    spins = set()
    for number in range(3):
        configurations, log_psi = enumerated(
            HUBBARD, level(HUBBARD, (0, 0), "A1", number=number, spin_flip=parity)
        )
        value = float(lattice_s_squared(HUBBARD, configurations, log_psi).value)
        spin = round((np.sqrt(1 + 4 * abs(value)) - 1) / 2)
        assert value == pytest.approx(spin * (spin + 1), abs=1e-9)
        found = measured_symmetry(group, configurations, log_psi)
        assert found.spin_flip is not None
        assert found.spin_flip.value == pytest.approx((-1) ** spin, abs=1e-9)
        assert found.irrep == "A1"
        spins.add(spin)
    assert spins <= ({0, 2} if parity == "even" else {1})


def test_singlet_has_isotropic_spin_correlations(singlet):
    """sum_i of S(S+1)-rules: S_zz summed over all pairs vanishes, and C_zz(0) = (n - 2 D) / 4."""
    configurations, _ = enumerated(HUBBARD, singlet)
    spin = correlations(HUBBARD, configurations, "spin")
    pairs = double_occupancy(HUBBARD, configurations).value
    assert spin.by_distance.value[0] == pytest.approx((4 / 8 - 2 * pairs) / 4, abs=1e-12)
    factor = structure_factor(HUBBARD, configurations, "spin").values.value
    assert factor[0, 0] == pytest.approx(0.0, abs=1e-12)
    assert factor.sum() == pytest.approx(8 * spin.by_distance.value[0], abs=1e-12)
    assert spin.by_distance.value[1] < 0.0


# ---- samples ---------------------------------------------------------------------------------------


def within(found, exact, sigmas=4.0):
    error = np.asarray(found.error)
    assert np.all(np.isfinite(error))
    assert np.all(np.abs(found.value - np.asarray(exact)) <= sigmas * error + 1e-12)


@pytest.mark.parametrize("shape", [(20, 150), (100, 30), (2, 1500)])
def test_samples_agree_with_exact_sums(ground_state, shape):
    """A state that is no eigenstate of anything, so that nothing has zero variance."""
    vector = np.sqrt(0.8) * ground_state + np.sqrt(0.2) * level(TV, (1, 0), "A''")
    exact, log_psi = enumerated(TV, vector)
    samples = drawn(TV, vector, shape, seed=11)
    found = Configurations.sampled(samples)
    assert (found.n_samples, found.kind) == (3000, "vmc")
    for measure in (correlations, structure_factor):
        one, other = measure(TV, found).values, measure(TV, exact).values
        within(one, other.value)
        assert np.all(one.error[np.abs(one.error) > 0] < 0.1)
    within(correlations(TV, found).by_distance, correlations(TV, exact).by_distance.value)
    ratio = correlation_ratio(TV, found)
    within(ratio, correlation_ratio(TV, exact).value)
    assert 0.0 < ratio.error < 0.2
    group = space_group(TV)
    one, other = (measured_symmetry(group, part, log_psi, (0, 0)) for part in (found, exact))
    within(one.translations, other.translations.value)
    within(one.characters, other.characters.value)
    assert other.irreps["B2"].value > 0.75
    assert one.irreps["B2"].error > 0.0
    for name, weight in one.irreps.items():
        within(weight, other.irreps[name].value)


def test_samples_of_an_eigenstate_have_sharp_eigenvalues(ground_state):
    log_psi = log_psi_of(TV, ground_state)
    found = Configurations.sampled(drawn(TV, ground_state, (16, 4), seed=1))
    measured = measured_symmetry(space_group(TV), found, log_psi)
    assert (measured.momentum, measured.irrep) == ((0, 0), "B2")
    assert measured.irreps["B2"].value == pytest.approx(1.0, abs=1e-9)
    assert measured.irreps["B2"].error < 1e-9


def test_sampled_spin(singlet):
    triplet = level(HUBBARD, (0, 0), spin_flip="odd")
    vector = np.sqrt(0.6) * singlet + 1j * np.sqrt(0.4) * triplet
    exact, log_psi = enumerated(HUBBARD, vector)
    assert lattice_s_squared(HUBBARD, exact, log_psi).value == pytest.approx(0.8, abs=1e-9)
    found = Configurations.sampled(drawn(HUBBARD, vector, (16, 100), seed=4))
    s_squared = lattice_s_squared(HUBBARD, found, log_psi)
    within(s_squared, 0.8)
    assert 0.0 < s_squared.error < 0.2
    within(double_occupancy(HUBBARD, found), double_occupancy(HUBBARD, exact).value)


def correlated_chains(n_chains, length, stay, seed):
    """Chains of a particle on 4 sites that moves to a random one with probability 1 - stay."""
    rng = np.random.default_rng(seed)
    proposals = rng.integers(4, size=(n_chains, length))
    moved = rng.random((n_chains, length)) > stay
    last = np.maximum.accumulate(np.where(moved, np.arange(length), 0), axis=1)
    return np.eye(4, dtype=np.uint8)[np.take_along_axis(proposals, last, axis=1)]


@pytest.mark.parametrize(("n_chains", "length", "repetitions"), [(32, 400, 12), (1, 12800, 12), (1, 640, 80)])
def test_errors_know_of_autocorrelation(n_chains, length, repetitions):
    """Mean error against the one known exactly, (1 + stay) / (1 - stay) in variance, and against the spread.

    The shortest chain is cut into pieces of 20, as long as two autocorrelation times.
    """
    stay = 0.9
    expected = np.sqrt(0.25 * 0.75 / (n_chains * length) * (1 + stay) / (1 - stay))
    errors, values = [], []
    for seed in range(repetitions):
        found = Configurations.sampled(correlated_chains(n_chains, length, stay, seed))
        estimate = found.average(found.occupations[:, 0].astype(float))
        errors.append(estimate.error)
        values.append(estimate.value)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(expected, rel=0.12)
    assert np.std(values) == pytest.approx(expected, rel=0.6)


def test_error_of_many_chains_is_netkets(ground_state):
    """From 32 chains on, up to the n - 1 of the variance."""
    import netket as nk

    samples = drawn(TV, ground_state, (32, 30), seed=8)
    found = Configurations.sampled(samples)
    estimate = found.average(found.occupations[:, 0] * found.occupations[:, 1].astype(float))
    statistics = nk.stats.statistics(samples[..., 0] * samples[..., 1].astype(float))
    assert estimate.value == pytest.approx(float(statistics.mean), abs=1e-12)
    assert estimate.error * np.sqrt(31 / 32) == pytest.approx(float(statistics.error_of_mean), rel=1e-9)


# ---- whole records, pictures, bad input --------------------------------------------------------------


def test_record_is_json(singlet):
    configurations, log_psi = enumerated(HUBBARD, singlet)
    record = lattice_observables(HUBBARD, configurations, log_psi).record()
    again = json.loads(json.dumps(record, allow_nan=False))
    assert again["symmetry"]["momentum"] == [0, 0]
    assert again["symmetry"]["spin_flip"]["value"] == pytest.approx(1.0)
    assert again["s_squared"]["value"] == pytest.approx(0.0, abs=1e-9)
    assert np.shape(again["spin_structure"]["values"]) == HUBBARD.size
    assert again["kind"] == "full_sum"


def test_more_than_64_modes():
    """Two up particles and a down one in the lower of their orbitals: S = 1/2, on every configuration."""
    model = Lattice("hubbard", "6x6", "2,1", U=4.0)
    x, y = model.cells.T
    orbitals = np.stack([1.5 + np.cos(np.pi * x / 3), np.sin(np.pi * (x + y) / 3) + 0.3 * y], axis=1)

    def log_psi(occupations):
        sites = np.nonzero(occupations[:, :36])[1].reshape(-1, 2)
        down = np.nonzero(occupations[:, 36:])[1]
        return np.log((np.linalg.det(orbitals[sites]) * orbitals[down, 0]).astype(complex))

    rng = np.random.default_rng(0)
    samples = np.zeros((16, 5, 72), np.uint8)
    for row in samples.reshape(-1, 72):
        row[rng.choice(36, 2, replace=False)] = 1
        row[36 + rng.integers(36)] = 1
    found = Configurations.sampled(samples)
    s_squared = lattice_s_squared(model, found, log_psi)
    assert s_squared.value == pytest.approx(0.75, abs=1e-9)
    assert s_squared.error < 1e-9
    assert structure_factor(model, found, "spin").values.value[0, 0] == pytest.approx(0.25 / 36)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((10, 8)), "chains, length, modes"),
        (2 * np.ones((4, 10, 8)), "zeros and ones"),
        (np.zeros((1, 2, 8)), "too few"),
        (np.zeros((0, 0, 8)), "too few"),
    ],
)
def test_what_are_no_samples(samples, message):
    with pytest.raises(ValueError, match=message):
        Configurations.sampled(samples)


def test_what_cannot_be_measured(ground_state):
    with pytest.raises(InputError, match="at most 500,000"):
        Configurations.enumerated(Lattice("tv", "6x6", 13), lambda x: np.zeros(len(x)))
    with pytest.raises(FloatingPointError, match="not finite"):
        Configurations.enumerated(TV, lambda x: np.full(len(x), np.nan))
    configurations, log_psi = enumerated(TV, ground_state)
    with pytest.raises(InputError, match="spinless"):
        correlations(TV, configurations, "spin")
    with pytest.raises(InputError, match="density or spin"):
        structure_factor(TV, configurations, "charge")
    for measure in (
        lambda: lattice_s_squared(TV, configurations, log_psi),
        lambda: double_occupancy(TV, configurations),
    ):
        with pytest.raises(InputError, match="spinless"):
            measure()
    found = Configurations.sampled(drawn(TV, ground_state, (16, 2), seed=1))
    group = space_group(TV)
    with pytest.raises(FloatingPointError, match="drawn"):
        symmetry_parts(found, lambda x: np.full(len(x), -np.inf), group.permutations[1:2], group.phases[1:2])


@pytest.mark.parametrize("geometry", ["square", "honeycomb"])
def test_pictures(geometry):
    model = Lattice("tv", "4x4" if geometry == "square" else "2x2", 3, V=2.0, geometry=geometry)
    configurations, _ = enumerated(model, np.ones(model.n_configurations))
    factor = structure_factor(model, configurations).record()
    figure = draw_structure_factor(factor)
    shown = np.unique(np.round(figure.axes[0].collections[0].get_array(), 9))
    np.testing.assert_allclose(shown, np.unique(np.round(factor["values"], 9)))
    found = correlations(model, configurations).record()
    axes = draw_correlations(found).axes[0]
    heights = [line.get_ydata() for line in axes.lines]
    assert any(np.array_equal(height, found["by_distance"][1:]) for height in heights)

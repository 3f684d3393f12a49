"""Observables from samples: unbiased, with the right error bars, against exact sums."""

import numpy as np
import pytest

from hamiltonians import OrbitalProperties
from nnbf.determinants import pack_occupations, unpack_occupations
from nnbf.determinants.density_sums import excited_determinants
from nnbf.observables import Configurations, molecular_observables
from tests.determinants.oracles import bit_strings, configurations, random_integrals
from tests.observables.molecules import fci_expansion, molecule
from tests.observables.vectors import expand, random_vector


def log_amplitudes(state):
    """log psi of an expansion, zero outside, as a network would give it."""
    known = {row.tobytes(): value for row, value in zip(state.determinants, state.amplitudes, strict=True)}

    def log_psi(occupations):
        psi = np.array([known.get(row.tobytes(), 0.0) for row in pack_occupations(occupations)])
        with np.errstate(divide="ignore"):
            return np.log(np.abs(psi)) + np.pi * 1j * (psi < 0)

    return log_psi


def draw(state, n_samples, seed):
    chosen = np.random.default_rng(seed).choice(len(state), size=n_samples, p=state.amplitudes**2)
    return Configurations.sampled(state.occupations[chosen].reshape(20, -1, state.occupations.shape[1]))


class Case:
    """A random state without symmetry, in orbitals that differ between the spins or not."""

    def __init__(self, spin_resolved):
        rng = np.random.default_rng(1)
        size, electrons = 4, (2, 1)
        self.integrals = random_integrals(size, *electrons, spin_resolved=spin_resolved)
        overlap = np.linalg.qr(rng.normal(size=(size + 1, size + 1)))[0] if spin_resolved else None
        dipole = rng.normal(size=(2, 3, size, size) if spin_resolved else (3, size, size))
        dipole = dipole + np.swapaxes(dipole, -1, -2)
        self.properties = OrbitalProperties(dipole, np.ones(3), np.zeros(3), overlap)
        self.state = expand(random_vector(size, electrons, seed=2), size, electrons)
        self.exact = molecular_observables(self.integrals, self.state, self.properties, rdm2=True)

    def sampled(self, n_samples, seed, **options):
        return molecular_observables(
            self.integrals,
            draw(self.state, n_samples, seed),
            self.properties,
            log_psi=log_amplitudes(self.state),
            chunk_size=64,
            **options,
        )


@pytest.fixture(scope="module", params=[False, True], ids=["one set", "two sets"])
def case(request):
    return Case(request.param)


def quantities(found):
    """(value, error) of everything that has an error, one after the other."""
    estimates = [found.s_squared, found.dipole_au, found.inverse_participation_ratio]
    if found.energy_from_densities is not None:
        estimates.append(found.energy_from_densities)
    values = np.concatenate([np.ravel(one.value) for one in estimates])
    errors = np.concatenate([np.ravel(np.broadcast_to(one.error, np.shape(one.value))) for one in estimates])
    upper = np.triu_indices(found.one_body.shape[-1])
    one_errors = np.zeros_like(found.one_body) if found.one_body_error is None else found.one_body_error
    return (
        np.concatenate([values, *(part[upper] for part in found.one_body)]),
        np.concatenate([errors, *(part[upper] for part in one_errors)]),
    )


def test_estimates_are_unbiased_and_errors_cover(case):
    exact = quantities(case.exact)[0]
    found = [quantities(case.sampled(400, seed, rdm2=True)) for seed in range(24)]
    values, errors = np.array([f[0] for f in found]), np.array([f[1] for f in found])
    spread = values.std(axis=0, ddof=1)
    bias = (values.mean(axis=0) - exact) / np.maximum(spread / np.sqrt(24), 1e-12)
    assert np.abs(bias).max() < 4.5
    assert np.mean(bias**2) < 2.0
    # The error bars are the spread of repeated estimates.
    ratio = np.sqrt(np.mean(errors**2, axis=0)) / np.maximum(spread, 1e-12)
    relevant = spread > 1e-10
    assert np.all((ratio[relevant] > 0.6) & (ratio[relevant] < 1.7))
    covered = np.abs(values - exact)[:, relevant] < 2 * errors[:, relevant]
    assert 0.88 < np.mean(covered) < 0.99


def test_records_say_how_they_came_about(case):
    found = case.sampled(400, 0)
    record = found.record()
    assert record["kind"] == "vmc"
    assert record["n_samples"] == 400
    assert record["dipole_au"]["kind"] == "vmc"
    assert min(record["dipole_au"]["error"]) > 0
    assert record["energy_from_densities"] is None
    largest = found.largest_determinants[0]
    best = case.exact.largest_determinants[0]
    assert abs(largest.weight - best.weight) < 5 * largest.error + 0.1
    assert largest.amplitude is None


def test_eigenstates_have_no_error():
    """S^2 of a spin eigenstate and the 2-RDM energy of a singlet's FCI state, from few samples."""
    state, system = fci_expansion("O2"), molecule("O2")
    samples = draw(state, 2000, 0)
    found = molecular_observables(
        system.integrals, samples, system.properties, log_psi=log_amplitudes(state), chunk_size=1024
    )
    assert found.s_squared.value == pytest.approx(2.0, abs=1e-5)
    assert found.s_squared.error < 1e-5
    exact = molecular_observables(system.integrals, state, system.properties)
    error = found.natural_occupations.error
    assert np.abs(found.natural_occupations.value - exact.natural_occupations.value).max() < 5 * error.max()
    assert 1e-4 < error.max() < 0.05


def test_chains_become_batches():
    rng = np.random.default_rng(0)
    rows = unpack_occupations(bit_strings(configurations(4, 2, 2), 4), 4)
    few = rows[rng.integers(len(rows), size=(2, 64))]
    samples = Configurations.sampled(few)
    assert samples.n_samples == 128
    assert len(samples.shares) == 32
    # Four consecutive samples of one chain make a batch.
    first = samples.weights[0]
    assert set(map(bytes, samples.determinants[first.indices])) == set(
        map(bytes, pack_occupations(few[0, :4]))
    )
    assert np.asarray(samples.weights.sum(axis=1)).ravel() == pytest.approx(1.0)
    many = Configurations.sampled(rows[rng.integers(len(rows), size=(20, 3))])
    assert len(many.shares) == 20
    assert len(Configurations.sampled(rows[rng.integers(len(rows), size=(300, 2))]).shares) == 64
    with pytest.raises(ValueError, match="too few"):
        Configurations.sampled(rows[rng.integers(len(rows), size=(2, 1))])


def test_correlated_chains_are_told_by_their_spread():
    # 16 chains that never move: 16 samples, however long they are.
    state = Case(False).state
    places = np.random.default_rng(3).choice(len(state), size=16, p=state.amplitudes**2)
    chains = unpack_occupations(state.determinants[places], 4)[:, None].repeat(50, axis=1)
    case = Case(False)
    stuck = molecular_observables(
        case.integrals, Configurations.sampled(chains), log_psi=log_amplitudes(state), chunk_size=64
    )
    free = case.sampled(800, 0)
    assert np.mean(stuck.one_body_error) > 3 * np.mean(free.one_body_error)


def test_wave_functions_that_do_not_fit_are_refused(case):
    samples = draw(case.state, 100, 0)
    with pytest.raises(ValueError, match="complex"):
        molecular_observables(
            case.integrals, samples, log_psi=lambda x: 0.3j * x[:, 0] * x[:, 1], chunk_size=64
        )
    with pytest.raises(ValueError, match="not finite"):
        molecular_observables(
            case.integrals, samples, log_psi=lambda x: np.full(len(x), np.nan), chunk_size=64
        )
    with pytest.raises(ValueError, match="vanishes on a determinant"):
        molecular_observables(
            case.integrals, samples, log_psi=lambda x: np.where(x[:, 0] == 1, -np.inf, 0.0), chunk_size=64
        )


@pytest.mark.parametrize("irreps", [[0, 0, 0, 0], [0, 1, 0, 1]])
def test_excited_determinants_are_all_of_their_kind(irreps):
    irreps = np.array(irreps)
    (start,) = [((0, 1), (0, 2))]
    rows = bit_strings([start], 4)
    whole = configurations(4, 2, 2)

    def distances(config):
        return tuple(len(set(own) - set(other)) for own, other in zip(config, start, strict=True))

    def code(config):
        return np.bitwise_xor.reduce(irreps[[*config[0], *config[1]]])

    allowed = [config for config in whole if code(config) == code(start)]
    singles = [config for config in allowed if sum(distances(config)) <= 1]
    mixed = singles + [config for config in allowed if distances(config) == (1, 1)]
    everything = mixed + [config for config in allowed if distances(config) in ((2, 0), (0, 2))]
    exchange = [*singles, ((0, 2), (0, 1))]
    for doubles, expected in (("exchange", exchange), ("mixed", mixed), ("all", everything)):
        found = excited_determinants(rows, irreps, doubles)
        assert len(found) == len(expected)
        assert set(map(bytes, found)) == set(map(bytes, bit_strings(expected, 4)))
        assert bytes(found[0]) == bytes(rows[0])

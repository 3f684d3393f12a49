"""Several states of a molecule: against exact diagonalisation, spins, degeneracies, bounds, transitions."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
from pyscf import fci

from hamiltonians import InputError, build_molecule, irrep_bits
from hamiltonians.orbital_symmetry import orbital_shells
from hamiltonians.term_symbols import abelian_parts, spatial_irrep, term_symbol
from nnbf.determinants import enumerate_sector, sector_dimension
from nnbf.determinants.shells import Families
from nnbf.drivers import SolverOptions, solve
from nnbf.drivers.growth import Growth
from nnbf.drivers.methods import Task
from nnbf.drivers.monitor import Monitor
from nnbf.drivers.several_states import Wanted, in_average_natural_orbitals, lowest_states
from nnbf.drivers.state_levels import extrapolated, several_levels
from nnbf.drivers.state_sectors import state_sectors
from nnbf.observables.dyson import dyson_orbital
from nnbf.observables.transitions import transition
from nnbf.operators import MolecularHamiltonian
from nnbf.states.davidson import lowest_eigenvectors
from tests.determinants.oracles import random_system

N2 = "N 0 0 0; N 0 0 1.112"
WHOLE, SMALL = Growth(max_size=50_000), Growth(max_size=300, free_size=300)


@pytest.fixture(scope="module")
def lih():
    return build_molecule("Li 0 0 0; H 0 0 1.595", basis="sto-3g", references=False)


@pytest.fixture(scope="module")
def nitrogen():
    return build_molecule(N2, basis="sto-3g", references=False)


def exact_energies(system, count):
    """Lowest energies of all spins and irreps, from one dense matrix."""
    integrals = system.integrals
    hamiltonian = MolecularHamiltonian(integrals)
    rows = enumerate_sector(integrals.n_orbitals, integrals.n_alpha, integrals.n_beta)
    return np.linalg.eigvalsh(hamiltonian.matrix(rows).toarray())[:count]


def test_irreps_without_a_state_of_the_spin():
    """The gerade determinants of two electrons in two orbitals make no triplet."""
    system = build_molecule("H2", basis="sto-3g", references=False)
    exact = exact_energies(system, 4)
    for spin, energies in ((0.0, exact[[0, 2, 3]]), (1.0, exact[[1]])):
        found = lowest_states(system.integrals, Wanted(len(energies), spin=spin), WHOLE).states
        np.testing.assert_allclose([state.energy for state in found], energies, atol=1e-9)


def test_states_are_those_of_exact_diagonalisation(lih):
    found = lowest_states(lih.integrals, Wanted(9), WHOLE)
    energies = [state.energy for state in found.states]
    np.testing.assert_allclose(energies, exact_energies(lih, len(energies)), atol=1e-9)
    assert found.complete
    spins = [state.s_squared for state in found.states]
    np.testing.assert_allclose(spins, np.round(spins), atol=1e-9)
    for state in found.states:
        residual = state.block.matrix @ state.vector - state.energy * state.vector
        assert np.linalg.norm(residual) < 1e-5


def test_a_degenerate_level_is_not_cut(nitrogen):
    found = lowest_states(nitrogen.integrals, Wanted(2), WHOLE)
    assert len(found.states) == 3
    assert found.states[1].partners == found.states[2].partners
    assert abs(found.states[1].energy - found.states[2].energy) < 1e-8


def test_grown_spaces_keep_spin_and_degeneracy_and_bound_every_level(nitrogen):
    """On part of the determinants, too: V is made of whole families."""
    part = lowest_states(nitrogen.integrals, Wanted(8), SMALL, whole_limit=0)
    whole = lowest_states(nitrogen.integrals, Wanted(8), WHOLE)
    assert not part.complete
    assert part.n_determinants < whole.n_determinants / 3
    for above, exact in zip(part.states, whole.states, strict=True):
        assert exact.energy - 1e-9 < above.energy < exact.energy + 3e-3
        assert above.spin == exact.spin
        assert above.s_squared == pytest.approx(exact.s_squared, abs=1e-8)
        assert above.partners == exact.partners
        # Second order and the line through the stages lie closer.
        assert abs(above.energy + above.second_order - exact.energy) < above.energy - exact.energy
        assert abs(extrapolated(above.stages) - exact.energy) < 1e-3
    terms = [state.energy for state in part.states if state.partners == (2, 3)]
    assert abs(terms[0] - terms[1]) < 1e-8


def test_spins_and_irreps_can_be_asked_for(lih):
    everything = lowest_states(lih.integrals, Wanted(9), WHOLE).states
    for spin in (0.0, 1.0):
        found = lowest_states(lih.integrals, Wanted(3, spin=spin), WHOLE).states
        wanted = [state.energy for state in everything if state.spin == spin]
        assert {state.spin for state in found} == {spin}
        np.testing.assert_allclose([state.energy for state in found], wanted[: len(found)], atol=1e-8)
    of_irrep = lowest_states(lih.integrals, Wanted(2, codes=frozenset({2, 3})), WHOLE).states
    wanted = [state.energy for state in everything if state.block.code in (2, 3)]
    np.testing.assert_allclose([state.energy for state in of_irrep], wanted[:2], atol=1e-8)


def test_natural_orbitals_of_several_states_keep_energies_and_shells(nitrogen):
    rough = lowest_states(nitrogen.integrals, Wanted(3), SMALL, whole_limit=0)
    turned = in_average_natural_orbitals(nitrogen.integrals, rough.states)
    assert len(set(orbital_shells(turned).tolist())) == 8
    found = lowest_states(turned, Wanted(2), WHOLE).states
    np.testing.assert_allclose(found[0].energy, -107.66020642, atol=1e-7)
    np.testing.assert_allclose([state.energy for state in found[1:]], -107.36863897, atol=1e-7)


def test_more_states_than_there_are(lih):
    helium = build_molecule("H 0 0 0; H 0 0 0.74", basis="sto-3g", references=False)
    assert len(lowest_states(helium.integrals, Wanted(4), WHOLE).states) == 4
    with pytest.raises(InputError, match="there are 4 states"):
        lowest_states(helium.integrals, Wanted(5), WHOLE)


def test_spin_resolved_orbitals_are_refused():
    system = random_system(3, 2, 1, seed=1, spin_resolved=True)
    with pytest.raises(InputError, match="one set of orbitals"):
        lowest_states(system.integrals, Wanted(2), WHOLE)


def test_families_are_closed(nitrogen):
    """All determinants of a family have its key, and its size is the number of them."""
    integrals = nitrogen.integrals
    shells = orbital_shells(integrals)
    assert len(set(shells.tolist())) == 8  # two pairs of pi orbitals
    families = Families(shells, irrep_bits(integrals), (7, 7))
    rows = enumerate_sector(10, 7, 7)
    keys = families.keys(rows)
    assert len(rows) == sector_dimension(10, 7, 7)
    for row in rows[:: len(rows) // 7]:
        key, occupation = families.keys(row[None])[0], families.occupations(row[None])[0]
        members, codes = families.members(tuple(occupation.tolist()))
        assert len(members) == families.size(tuple(occupation.tolist())) == np.sum(keys == key)
        assert set(map(bytes, members)) == set(map(bytes, rows[keys == key]))
        assert len(codes) == len(members)


def test_davidson_finds_degenerate_eigenvalues_complete():
    """Of two copies of a matrix every eigenvalue comes twice."""
    rng = np.random.default_rng(3)
    part = scipy.sparse.random(650, 650, density=5e-3, random_state=1)
    part = part + part.T + scipy.sparse.diags(np.sort(rng.uniform(0.0, 20.0, 650)))
    matrix = scipy.sparse.block_diag([part, part], format="csr")
    found, vectors = lowest_eigenvectors(matrix, 6)
    np.testing.assert_allclose(found, np.repeat(np.linalg.eigvalsh(part.toarray())[:3], 2), atol=1e-9)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(6), atol=1e-8)


def test_oscillator_strengths_are_those_of_pyscf(lih):
    integrals = lih.integrals
    size, electrons = integrals.n_orbitals, (integrals.n_alpha, integrals.n_beta)
    found = lowest_states(integrals, Wanted(6), WHOLE).states
    ground = found[0]
    one, two = integrals.one_body, integrals.unpack_two_body()
    energies, vectors = fci.direct_spin1.kernel(one, two, size, electrons, nroots=7, ecore=integrals.constant)
    strengths = []
    for energy, vector in zip(energies[1:], vectors[1:], strict=True):
        density = fci.direct_spin1.trans_rdm1(vectors[0], vector, size, electrons)
        moment = np.einsum("xpq,pq->x", lih.properties.dipole, density)
        strengths.append(2.0 / 3.0 * (energy - energies[0]) * moment @ moment)
    own = []
    for state in found[1:]:
        states = ((s.block.determinants, s.vector) for s in (ground, state))
        moved = transition(*states, state.energy - ground.energy, size, lih.properties)
        own.append(moved.oscillator_strength)
        assert 0.0 < moved.single_excitations < 1.0
        assert moved.record()["natural_transition_orbitals"][0]["weight"] <= moved.single_excitations + 1e-12
    np.testing.assert_allclose(np.sort(own), np.sort(strengths[: len(own)]), atol=1e-6)
    assert max(own) > 0.01


def test_names_of_levels():
    assert spatial_irrep(["B3u", "B2u"], "Dooh", "D2h") == "Piu"
    assert spatial_irrep(["Ag", "B1g"], "Dooh", "D2h") == "Delg"
    assert spatial_irrep(["Au"], "Dooh", "D2h") == "Sigu-"
    assert spatial_irrep(["B1u", "B2u", "B3u"], "SO3", "D2h") == "Pu"
    assert spatial_irrep(["Ag", "Ag", "B1g", "B2g", "B3g"], "SO3", "D2h") == "Dg"
    assert spatial_irrep(["A'", 'A"'], "C3v", "Cs") == "E"
    assert spatial_irrep(["B1", "B2", "B3"], "Td", "D2") == "T"
    assert spatial_irrep(["B2"], "C2v", "C2v") == "B2"
    assert term_symbol(1.0, "Sigu+") == "3Sigu+"
    assert abelian_parts("Piu", "Dooh", ("Ag", "B2u", "B3u")) == ("B2u", "B3u")
    assert abelian_parts("B9", "C2v", ("A1", "B1")) == ()


@pytest.fixture(scope="module")
def solved():
    """Six states of water by networks."""
    geometry = "O 0 0 0; H 0.2774 0.8929 0.2544; H 0.6068 -0.2383 -0.7169"
    system = build_molecule(geometry, basis="sto-3g", references=False)
    return system, solve(system, SolverOptions(states=6, hidden=(16,), n_determinants=1))


def test_networks_reach_every_state(solved):
    """The values of an independent FCI program."""
    expected = [-75.01553019, -74.62782929, -74.56896436, -74.52530553, -74.52405503, -74.48835014]
    _, outcome = solved
    assert outcome.status == "converged"
    for level, energy in zip(outcome.levels, expected, strict=True):
        assert -1e-8 < level.energy.value - energy < 1e-4
        assert level.energy.kind == "full_sum"
        assert level.energy.upper_bound
        assert level.reference == pytest.approx(energy, abs=1e-7)
    names = [level.sector.label for level in outcome.levels]
    assert names == ["1A1", "3B1", "1B1", "3A2", "3A1", "1A2"]
    spins = [level.s_squared for level in outcome.levels]
    np.testing.assert_allclose(spins, [0, 2, 0, 2, 2, 0], atol=1e-4)


def test_a_state_of_a_network_is_the_same_anywhere(solved):
    """The network that is kept gives the amplitudes that its energy was computed with, odd states too."""
    _, outcome = solved
    for level in outcome.levels:
        energy, _ = level.state.energy_and_variance()
        assert energy == pytest.approx(level.energy.value, abs=1e-6)


def test_records_of_states(solved):
    _, outcome = solved
    record = outcome.levels[2].record()
    assert record["excitation_ev"] == pytest.approx(12.1517, abs=3e-3)
    assert record["multiplicity"] == 1
    assert record["oscillator_strength"] > 0.0
    assert record["sector"]["label"] == "1B1"


def test_options_that_do_not_fit_several_states(lih):
    with pytest.raises(InputError, match="method"):
        solve(lih, SolverOptions(states=2), method="vmc")
    for wrong in ({"optimizer": "sr"}, {"total_spin": 0.0}, {"spin_penalty": 0.1}):
        with pytest.raises(InputError, match="states"):
            several_levels(Task(lih, replace(SolverOptions(states=2), **wrong), Monitor()))


def test_irreps_of_the_full_group_by_name(nitrogen):
    """A component of a Delta level is not taken for the Sigma level of the same Abelian irrep."""
    options = SolverOptions(irreps="Sigg+ 3Delu", states=1)
    sectors = state_sectors(nitrogen, options)
    found = [lowest_states(s.system.integrals, s.wanted, WHOLE).states for s in sectors]
    assert [len(states) for states in found] == [1, 2]
    assert found[0][0].energy == pytest.approx(-107.66020642, abs=1e-7)
    np.testing.assert_allclose([s.energy for s in found[1]], -107.29575733, atol=1e-7)
    with pytest.raises(InputError, match="is no irrep of Dooh: give Sigg"):
        state_sectors(nitrogen, SolverOptions(irreps="B9"))
    with pytest.raises(InputError, match="total spin"):
        state_sectors(nitrogen, SolverOptions(spins="-1"))
    with pytest.raises(InputError, match="none of them is one of 14 electrons"):
        state_sectors(nitrogen, SolverOptions(spins="0.5"))
    with pytest.raises(InputError, match="no charge"):
        state_sectors(nitrogen, SolverOptions(charges="a"))


def test_ionised_states_and_their_weights(lih):
    """Dyson orbitals against annihilation operators as matrices, and the ionisation potential."""
    sectors = state_sectors(lih, SolverOptions(charges="ions", states=2))
    assert [sector.change for sector in sectors] == [0, 1, -1]
    neutral, cation = (lowest_states(s.system.integrals, s.wanted, WHOLE).states for s in sectors[:2])
    assert cation[0].energy > neutral[0].energy
    size = lih.integrals.n_orbitals
    states = [(s.block.determinants, s.vector) for s in (neutral[0], cation[0])]
    orbital = dyson_orbital(*states, size)
    # All that can be reached by taking a beta electron away: the sum of all weights is their number.
    one = sectors[1].system.integrals
    rows = enumerate_sector(size, one.n_alpha, one.n_beta)
    vectors = np.linalg.eigh(MolecularHamiltonian(one).matrix(rows).toarray())[1]
    weights = [np.sum(dyson_orbital(states[0], (rows, vector), size) ** 2) for vector in vectors.T]
    assert np.sum(weights) == pytest.approx(lih.integrals.n_beta)
    assert weights[0] == pytest.approx(orbital @ orbital, abs=1e-6)
    assert 0.8 < weights[0] < 1.0
    assert dyson_orbital(states[0], states[0], size) is None

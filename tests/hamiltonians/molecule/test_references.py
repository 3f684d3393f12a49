from dataclasses import replace

import numpy as np
import pytest

from hamiltonians import MolecularIntegrals, build_molecule, determinant_energy, reference_energies
from hamiltonians.molecule import references
from hamiltonians.molecule.pseudo_scf import fock_matrices, pseudo_field
from hamiltonians.molecule.references import _second_order, fci_dimension, solve_fci

# PySCF 2.14 on the benchmark geometries, STO-3G, Hartree.
COUPLED_CLUSTER = {
    "LiH": (-7.784454823065577, -7.784459825466538),
    "H2O": (-75.01540899489842, -75.01547769375598),
    "O2": (-147.74773762337375, -147.74852252639178),
    "N2": (-107.6560799800228, -107.65784990304773),
    "C2": (-74.67446023208214, -74.68760936573742),
    "Li2O": (-87.88551419668953, -87.8930894713069),
}


@pytest.mark.parametrize("name", COUPLED_CLUSTER)
def test_coupled_cluster(build, name):
    energies, notes = reference_energies(build(name).integrals, fci_limit=0)
    ccsd, ccsd_t = COUPLED_CLUSTER[name]
    assert energies["ccsd"] == pytest.approx(ccsd, abs=1e-7)
    assert energies["ccsd_t"] == pytest.approx(ccsd_t, abs=1e-6)
    assert energies["fci"] is None
    assert "above the limit 0" in notes["fci"]


@pytest.mark.parametrize(("name", "kind"), [("H2O", "RHF"), ("C2H4O", "RHF"), ("OH", "UHF"), ("O2", "UHF")])
def test_mp2_is_that_of_pyscf(build, name, kind):
    from pyscf import gto, mp, scf

    system = build(name, reference=kind.lower())
    mol = gto.M(
        atom=list(system.info.atoms), basis="sto-3g", spin=system.info.two_S, verbose=0, parse_arg=False
    )
    solver = mp.MP2(getattr(scf, kind)(mol).run(conv_tol=1e-12)).run()
    energies, _ = reference_energies(system.integrals, fci_limit=0)
    assert energies["mp2"] == pytest.approx(solver.e_tot, abs=1e-7)


def test_frozen_core_coupled_cluster_is_that_of_pyscf(build):
    from pyscf import cc, gto, scf

    system = build("N2", frozen_core=True)
    mol = gto.M(atom=list(system.info.atoms), basis="sto-3g", verbose=0, parse_arg=False)
    solver = cc.CCSD(scf.RHF(mol).run(conv_tol=1e-12), frozen=2).run(conv_tol=1e-10)
    energies, _ = reference_energies(system.integrals, fci_limit=0)
    assert energies["ccsd"] == pytest.approx(solver.e_tot, abs=1e-7)
    assert energies["ccsd_t"] == pytest.approx(solver.e_tot + solver.ccsd_t(), abs=1e-7)


@pytest.mark.parametrize("reference", ["rohf", "uhf"])
def test_two_electron_coupled_cluster_is_exact(reference):
    system = build_molecule("H2", "6-31g", spin=2, reference=reference)
    assert system.references["ccsd"] == pytest.approx(system.references["fci"], abs=1e-8)
    assert system.references["ccsd_t"] == system.references["ccsd"]
    assert system.references["fci"] < system.references["hf"] - 1e-4


@pytest.mark.parametrize(
    ("name", "options"),
    [("H", {}), ("He", {}), ("Ne", {}), ("H2", {"charge": 1}), ("H", {"basis": "cc-pvdz"})],
)
def test_nothing_to_correlate(name, options):
    system = build_molecule(name, **options)
    for method in ("mp2", "ccsd", "ccsd_t", "fci"):
        assert system.references[method] == pytest.approx(system.references["hf"], abs=1e-9)


@pytest.mark.parametrize("name", ["N", "O", "Li", "B"])
def test_open_shell_atoms_without_empty_alpha_or_few_beta_orbitals(name):
    system = build_molecule(name)
    order = [system.references[key] for key in ("hf", "ccsd", "ccsd_t", "fci")]
    assert all(energy is not None for energy in order)
    assert order[-1] <= order[1] + 1e-8 <= order[0] + 2e-8
    assert order[2] == pytest.approx(order[-1], abs=1e-4)


def test_fci_limit_is_noted(build):
    energies, notes = reference_energies(build("Li2O").integrals, fci_limit=5_000_000, coupled_cluster=False)
    assert energies["fci"] is None
    assert notes["fci"] == "FCI dimension 4.1e7 above the limit 5e6"
    assert energies["ccsd"] is None
    assert notes["ccsd"] == "not asked for"


def test_fci_of_a_singlet_is_not_the_triplet_below():
    """The ground state of O2 is a triplet; asked for S = 0, its M_S = 0 component must not appear."""
    system = build_molecule("O2", spin=0)
    triplet = build_molecule("O2")
    assert system.references["fci"] > triplet.references["fci"] + 0.01
    assert solve_fci(system.integrals).s_squared == pytest.approx(0.0, abs=1e-6)
    assert solve_fci(triplet.integrals).s_squared == pytest.approx(2.0, abs=1e-6)


def test_fci_gets_through_where_its_first_attempt_does_not(build):
    """Davidson's space of PySCF fills up with rounding errors for two roots of stretched N2."""
    result = solve_fci(build("N 0 0 0; N 0 0 1.95").integrals)
    assert result.converged
    assert result.energy == pytest.approx(-107.4599585143, abs=1e-8)


@pytest.mark.parametrize("group", [None, "Ci"])
def test_fci_of_a_singlet_without_the_help_of_symmetry(build, group):
    """In Ci, or without labels, singlet and triplet of O2 have the same irrep: only the spin parts them."""
    expected = solve_fci(build("O2", spin=0).integrals).energy
    integrals = build("O2", spin=0).integrals
    labels = tuple("Ag" if label.endswith("g") else "Au" for label in integrals.orbital_irreps)
    fewer = replace(integrals, orbital_irreps=labels if group else None, point_group=group)
    result = solve_fci(fewer)
    assert result.s_squared == pytest.approx(0.0, abs=1e-6)
    # The lowest singlet is the other component of 1 Delta g, or this one.
    assert result.energy == pytest.approx(expected, abs=1e-6)


def test_fci_stays_in_the_irrep_of_the_reference(build):
    """3 Sigma g - of O2 against the lowest triplet of Ag, which lies higher."""
    integrals = build("O2").integrals
    # Move one of the two pi electrons: (2u,3u,...) open shells of another irrep.
    moved = replace(integrals, reference_occupation=((*range(8), 9), tuple(range(7))))
    assert solve_fci(moved).energy > solve_fci(integrals).energy + 0.05


def test_determinant_that_is_no_hartree_fock_solution(build):
    integrals = build("H2O").integrals
    rotation = np.eye(7)
    mix = np.array([[np.cos(0.3), np.sin(0.3)], [-np.sin(0.3), np.cos(0.3)]])
    rotation[np.ix_([0, 5], [0, 5])] = mix
    rotated = integrals.rotate(rotation)
    energies, notes = reference_energies(rotated)
    assert energies["hf"] == pytest.approx(determinant_energy(rotated), abs=1e-12)
    assert energies["hf"] > -74.9
    assert "not a Hartree-Fock solution" in notes["hf"]
    assert energies["ccsd"] == pytest.approx(COUPLED_CLUSTER["H2O"][0], abs=1e-7)
    assert "Hartree-Fock solution of these integrals" in notes["ccsd"]


@pytest.mark.parametrize("pair", [(0, 4), (4, 5), (0, 5)])
def test_open_shell_determinant_that_is_no_solution(build, pair):
    """Of ROHF: closed with open, open with empty, closed with empty orbitals (all of A1, or mixed)."""
    integrals = build("OH").integrals
    rotation = np.eye(6)
    rotation[np.ix_(pair, pair)] = [[np.cos(0.2), np.sin(0.2)], [-np.sin(0.2), np.cos(0.2)]]
    _, notes = reference_energies(integrals.rotate(rotation), fci_limit=0)
    assert "not a Hartree-Fock solution" in notes["hf"]
    assert "hf" not in reference_energies(integrals, fci_limit=0)[1]


@pytest.mark.parametrize("spin_resolved", [False, True])
@pytest.mark.parametrize("numbers", [(2, 1), (2, 2), (3, 1)])
def test_mp2_is_second_order_perturbation_theory(
    random_integrals, slow_matrix, determinants, numbers, spin_resolved
):
    """Sum over all determinants of |<0|V|k>|^2 / (E_0 - E_k) with semicanonical orbital energies."""
    field = pseudo_field(random_integrals(4, *numbers, seed=8, spin_resolved=spin_resolved))
    semicanonical = random_integrals(4, *numbers, seed=8, spin_resolved=spin_resolved).rotate(
        np.stack([c[spin * 4 * spin_resolved :][:4] for spin, c in enumerate(field.coefficients)])
    )
    levels = np.concatenate([np.diag(fock) for fock in field.fock])
    states = determinants(semicanonical)
    reference = states.index((*range(numbers[0]), *range(4, 4 + numbers[1])))
    row = slow_matrix(semicanonical)[reference]
    gaps = np.array([levels[list(states[reference])].sum() - levels[list(s)].sum() for s in states])
    others = np.arange(len(states)) != reference
    expected = np.sum(row[others] ** 2 / gaps[others])
    assert abs(row[others]).max() > 0.1
    assert _second_order(field) == pytest.approx(expected, rel=1e-9)


def test_unconverged_coupled_cluster_is_not_presented(build, monkeypatch):
    from pyscf.cc import ccsd

    original = ccsd.kernel
    monkeypatch.setattr(ccsd, "kernel", lambda *a, **k: (False, *original(*a, **k)[1:]))
    energies, notes = reference_energies(build("N2").integrals, fci_limit=0)
    assert energies["ccsd"] is None
    assert energies["ccsd_t"] is None
    assert notes["ccsd"] == "CCSD did not converge"


@pytest.mark.parametrize("spin_resolved", [False, True])
def test_fock_matrix_is_the_derivative_of_the_energy(random_integrals, spin_resolved):
    """dE / d(angle) of mixing occupied i with empty a is 2 F_ia for one spin."""
    integrals = random_integrals(4, 2, 1, seed=4, spin_resolved=spin_resolved)
    for spin in (0, 1):
        fock = fock_matrices(integrals)[spin]
        i, a, step = 0, 3, 1e-5
        energies = []
        for angle in (step, -step):
            rotation = np.eye(4)
            rotation[[i, a], [i, a]] = np.cos(angle)
            rotation[a, i], rotation[i, a] = np.sin(angle), -np.sin(angle)
            pair = np.stack([np.eye(4), np.eye(4)])
            pair[spin] = rotation
            energies.append(determinant_energy(integrals.rotate(pair)))
        assert (energies[0] - energies[1]) / (2 * step) == pytest.approx(2 * fock[i, a], abs=1e-6)


def test_dimension(build):
    assert fci_dimension(build("N2").integrals) == 14400
    empty = MolecularIntegrals(1.5, np.eye(1), np.eye(1), 0, 0)
    assert fci_dimension(empty) == 1
    energies, _ = reference_energies(empty)
    assert set(energies.values()) == {1.5}


@pytest.mark.parametrize(("numbers", "spin"), [((2, 1), 1), ((1, 0), 0)])
def test_open_orbitals_have_fock_operators_of_their_own(random_integrals, numbers, spin):
    """Closed and open mix by beta's Fock operator, open and empty by alpha's."""
    integrals = random_integrals(2, *numbers, seed=1)
    expected = abs(fock_matrices(integrals)[spin][0, 1])
    assert expected > 0.1
    assert pseudo_field(integrals).gradient == pytest.approx(expected, abs=1e-12)


def test_more_beta_than_alpha_electrons(build, random_integrals):
    integrals = build("Li").integrals
    resolved = random_integrals(3, 2, 1, spin_resolved=True)
    for one in (integrals, build("OH", reference="uhf").integrals, resolved, random_integrals(3, 2, 1)):
        flipped = one.spin_flipped()
        assert (flipped.n_alpha, flipped.n_beta) == (one.n_beta, one.n_alpha)
        energies, flipped_energies = (reference_energies(i)[0] for i in (one, flipped))
        assert energies["fci"] <= energies["hf"]
        for method, energy in energies.items():
            assert flipped_energies[method] == (energy and pytest.approx(energy, abs=1e-8)), method


def test_without_pyscf_there_is_hartree_fock_and_a_note(build, monkeypatch):
    from hamiltonians.molecule import references

    monkeypatch.setattr(references, "find_spec", lambda _: None)
    system = references.with_references(build("LiH"))
    assert system.references["hf"] == pytest.approx(-7.7673621357485745, abs=1e-8)
    assert system.references["ccsd"] is system.references["fci"] is None
    assert system.reference_notes["fci"] == "PySCF is not installed"


class TestExtras:
    """References are extras: each may fail alone."""

    def test_broken_bond(self):
        energies, _ = reference_energies(
            build_molecule("H 0 0 0; H 0 0 6", "sto-3g", references=False).integrals
        )
        assert energies["ccsd"] == pytest.approx(energies["fci"], abs=1e-7)
        assert energies["fci"] == pytest.approx(-0.9331636993, abs=1e-8)

    def test_singular_diis(self, monkeypatch):
        def singular(*given):
            raise np.linalg.LinAlgError("Singular matrix")

        integrals = build_molecule("H2", "6-31g", references=False).integrals
        monkeypatch.setattr("pyscf.lib.diis.DIIS.extrapolate", singular)
        energies, _ = reference_energies(integrals)
        assert energies["ccsd"] == pytest.approx(energies["fci"], abs=1e-7)
        monkeypatch.setattr(references, "_CC_SETTINGS", ({},))
        energies, notes = reference_energies(integrals)
        assert energies["ccsd"] is None
        assert notes["ccsd"] == notes["ccsd_t"] == "CCSD did not converge"
        assert energies["fci"] < energies["mp2"]

    def test_one_that_breaks_off_is_a_warning(self, monkeypatch):
        def broken(*given, **more):
            raise RuntimeError("no\nluck")

        monkeypatch.setattr(references, "solve_fci", broken)
        system = build_molecule("H2", "sto-3g")
        assert system.references["fci"] is None
        assert system.references["ccsd"] is not None
        assert system.info.warnings == ("no reference energy: FCI failed (RuntimeError: no luck)",)

    def test_lanczos_finds_what_davidson_does_not(self, build, monkeypatch):
        integrals = build("N2").integrals
        right = solve_fci(integrals)
        solver = references._solver
        monkeypatch.setattr(references, "_solver", lambda *given: lame(solver(*given)))
        found = solve_fci(integrals)
        assert found.converged
        assert found.energy == pytest.approx(right.energy, abs=1e-9)


def lame(solver):
    solver.max_cycle, solver.max_space, solver.pspace_size = 1, 2, 1
    return solver


@pytest.mark.parametrize("seed", range(6))
def test_exact_energies_of_random_integrals_do_without_the_others(seed):
    """Degenerate levels: perturbation theory and coupled cluster may have nothing to say, FCI has."""
    dice = np.random.default_rng(seed)
    size = int(dice.integers(2, 6))
    levels, pairs = np.round(dice.normal(size=size)), size * (size + 1) // 2
    vectors = dice.normal(size=(3, pairs))
    integrals = MolecularIntegrals(0.0, np.diag(levels), vectors.T @ vectors, (size + 1) // 2, size // 2)
    energies, _ = reference_energies(integrals)
    assert energies["fci"] is not None
    assert all(energy is None or np.isfinite(energy) for energy in energies.values())

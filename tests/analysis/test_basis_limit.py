"""Complete-basis-set limits: formulas on their own curves, errors, and systems with known limits."""

import json

import numpy as np
import pytest

from hamiltonians import InputError
from nnbf.analysis import (
    BasisPoint,
    basis_family,
    basis_limit,
    basis_points,
    cardinal_number,
    common_family,
    formula_curve,
)

HF, CORRELATION = -2.8, -0.04
SHAPES = {
    "karton_martin": lambda x: (x + 1) * np.exp(-9 * np.sqrt(x)),
    "exp_sqrt": lambda x: np.exp(-9 * np.sqrt(x)),
    "power_5": lambda x: x**-5.0,
    "feller": lambda x: np.exp(-1.7 * x),
    "helgaker": lambda x: x**-3.0,
    "martin": lambda x: (x + 0.5) ** -4,
    "helgaker_3_5": lambda x: x**-3.0 - 0.8 * x**-5.0,
    "martin_4_6": lambda x: (x + 0.5) ** -4 - 2 * (x + 0.5) ** -6,
    "free_power": lambda x: x**-3.4,
}
OF_HF = ("karton_martin", "exp_sqrt", "power_5", "feller")


def points(hf="karton_martin", rest="helgaker", cardinals=(2, 3, 4), error=0.0):
    x = np.array(cardinals, dtype=float)
    low = HF + 3.0 * SHAPES[hf](x)
    correlation = CORRELATION + 0.1 * SHAPES[rest](x)
    return [BasisPoint(*row, error) for row in zip(cardinals, low, low + correlation, strict=True)]


def value(limit, key):
    return next(row for row in (*limit.hf.values, *limit.correlation.values) if row.key == key)


@pytest.mark.parametrize("cardinals", [(2, 3, 4), (3, 4, 5), (2, 4, 5)])
@pytest.mark.parametrize("key", SHAPES)
def test_every_formula_is_exact_on_its_own_curve(key, cardinals):
    chosen = {"hf": key} if key in OF_HF else {"rest": key}
    made = points(**chosen, cardinals=cardinals)
    limit = basis_limit(made)
    row = value(limit, key)
    exact = HF if key in OF_HF else CORRELATION
    assert row.energy == pytest.approx(exact, abs=1e-10)
    part = [point.hf if key in OF_HF else point.correlation for point in made]
    used = part[-len(row.cardinals) :]
    assert np.allclose(formula_curve(row, np.array(row.cardinals)), used, atol=1e-12)
    if key not in ("karton_martin", "helgaker"):  # and another one is not
        assert abs((limit.hf if key in OF_HF else limit.correlation).energy - exact) > 1e-11


@pytest.mark.parametrize("key", SHAPES)
def test_errors_of_points_propagate_as_finite_differences_do(key):
    chosen = {"hf": key} if key in OF_HF else {"rest": key}
    made = [BasisPoint(p.cardinal, p.hf, p.energy, 2e-5 * p.cardinal, 1e-5) for p in points(**chosen)]
    by_hand = 0.0
    for index, point in enumerate(made):
        sigma = point.hf_error if key in OF_HF else np.hypot(point.error, point.hf_error)
        moved = []
        for step in (1e-7, -1e-7):
            changed = list(made)
            low, total = (step, step) if key in OF_HF else (0.0, step)
            changed[index] = BasisPoint(point.cardinal, point.hf + low, point.energy + total)
            moved.append(value(basis_limit(changed), key).energy)
        by_hand += ((moved[0] - moved[1]) / 2e-7 * sigma) ** 2
    assert value(basis_limit(made), key).error == pytest.approx(np.sqrt(by_hand), rel=2e-3)


def test_total_error_has_spread_and_points():
    exact = basis_limit(points())
    noisy = basis_limit(points(error=1e-3))
    assert exact.correlation.point_error == 0.0
    assert exact.error == pytest.approx(np.hypot(exact.hf.spread, exact.correlation.spread))
    assert exact.hf.spread >= 0.4 * abs(points()[2].hf - points()[1].hf)
    assert exact.correlation.spread >= abs(exact.correlation.energy - points()[2].correlation) / 3 - 1e-15
    # Weights of X^-3 through (3, 4): 64/37 and -27/37.
    assert noisy.correlation.point_error == pytest.approx(1e-3 * np.hypot(64, 27) / 37)
    assert noisy.error == pytest.approx(np.hypot(exact.error, noisy.correlation.point_error))
    assert noisy.energy == exact.energy


def test_errors_of_hartree_fock_enter_both_parts_once():
    made = points(cardinals=(3, 4))
    limit = basis_limit([BasisPoint(p.cardinal, p.hf, p.energy, 0.0, 1e-3) for p in made])
    low = SHAPES["karton_martin"](np.array([3.0, 4.0]))
    rest = SHAPES["helgaker"](np.array([3.0, 4.0]))
    weights = [np.array([-s[1], s[0]]) / (s[0] - s[1]) for s in (low, rest)]
    by_hand = 1e-3 * np.linalg.norm(weights[0] - weights[1])
    spread = np.hypot(limit.hf.spread, limit.correlation.spread)
    assert np.sqrt(limit.error**2 - spread**2) == pytest.approx(by_hand, rel=1e-9)


def test_two_points_allow_two_point_formulas_only():
    limit = basis_limit(points(cardinals=(4, 5)))
    assert {row.key for row in limit.hf.values} == {"karton_martin", "exp_sqrt", "power_5"}
    assert {row.key for row in limit.correlation.values} == {"helgaker", "martin"}
    assert limit.formula == "HF: (X+1) exp(-9 √X) (Q5); correlation: X^-3 (Q5)"
    assert limit.kind == "extrapolated"
    assert limit.notes == ()
    assert "double zeta" in basis_limit(points(cardinals=(2, 3))).notes[0]


def test_formula_that_does_not_fit_is_left_out_and_says_why():
    made = points()
    made[1] = BasisPoint(3, made[0].hf + 1e-3, made[1].energy)
    limit = basis_limit(made)
    row = value(limit, "feller")
    assert row.energy is None
    assert "do not fall" in row.note
    with pytest.raises(InputError, match="did not fit"):
        formula_curve(row, np.array([3.0]))


def test_order_and_form_of_points_do_not_matter():
    made = points(error=1e-5)
    expected = basis_limit(made)
    tuples = [(p.cardinal, p.hf, p.energy, p.error) for p in reversed(made)]
    assert basis_limit(tuples) == expected
    parts = [(p.cardinal, p.hf, p.energy - p.hf, p.error) for p in made]
    assert basis_limit(parts, correlation=True).energy == pytest.approx(expected.energy, abs=1e-14)
    assert basis_limit([vars(p) for p in made]) == expected


def test_record_is_json_and_enough_for_curves():
    limit = basis_limit(points(), family="cc-pVXZ")
    record = json.loads(json.dumps(limit.record()))
    assert record["family"] == "cc-pVXZ"
    for row, original in zip(record["correlation"]["values"], limit.correlation.values, strict=True):
        x = np.linspace(2, 5, 7)
        assert np.array_equal(formula_curve(row, x), formula_curve(original, x))
        assert row["label"] == original.label


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ([], "0 basis sets are too few"),
        ([(3, -1.0, -1.1)], "1 basis sets are too few"),
        ([(3, -1.0, -1.1), (3, -1.0, -1.2)], "X = 3 comes twice"),
        ([(3, -1.0, -1.1), (4, -1.0, float("nan"))], "X = 4 is not finite"),
        ([(3, -1.0, -1.1), (4, None, -1.2)], "X = 4 is not finite"),
        ([(1, -1.0, -1.1), (4, -1.0, -1.2)], "no cardinal number"),
        ([(2.5, -1.0, -1.1), (4, -1.0, -1.2)], "no cardinal number"),
        ([(3, -1.0, -1.1), (4, -1.0, -1.2, -1e-3)], "negative"),
        ([(3, -1.0), (4, -1.0)], "is no point"),
        ([{"cardinal": 3, "energy": -1.0}], "is no point"),
    ],
)
def test_nonsense_is_refused_in_one_line(made, words):
    with pytest.raises(InputError, match=words) as caught:
        basis_limit(made)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "cardinal", "family"),
    [
        ("cc-pvdz", 2, "cc-pVXZ"),
        ("aug-cc-pVTZ", 3, "aug-cc-pVXZ"),
        ("ccpvqz", 4, "cc-pVXZ"),
        ("d-aug-cc-pv5z", 5, "d-aug-cc-pVXZ"),
        ("heavy-aug-cc-pvdz", 2, "heavy-aug-cc-pVXZ"),
        ("cc-pcvtz", 3, "cc-pcVXZ"),
        ("aug_cc_pwcv5z", 5, "aug-cc-pwcVXZ"),
        ("cc-pv(t+d)z", 3, "cc-pV(X+d)Z"),
        ("cc-pvtz-dk", 3, "cc-pVXZ-DK"),
        ("ccecp-cc-pvtz", 3, "ccecp-cc-pVXZ"),
        ("cc-pv6z", 6, "cc-pVXZ"),
        ({"Li": "cc-pcvtz", "H": "cc-pvtz"}, 3, "H: cc-pVXZ, Li: cc-pcVXZ"),
        ({"N": "cc-pvtz", "H": "ccpvtz"}, 3, "cc-pVXZ"),
    ],
)
def test_names_of_basis_sets(name, cardinal, family):
    assert cardinal_number(name) == cardinal
    assert basis_family(name) == family


@pytest.mark.parametrize("name", ["sto-3g", "def2-tzvp", "6-31g", "cc-pvxz", "cc-pvtz-jkfit", "", "cc-pv1z"])
def test_sets_without_cardinal_number(name):
    with pytest.raises(InputError, match="no cardinal number"):
        cardinal_number(name)


def test_families_do_not_mix():
    assert common_family(["cc-pvdz", "ccpvtz"]) == "cc-pVXZ"
    with pytest.raises(InputError, match=r"cc-pVXZ, aug-cc-pVXZ"):
        common_family(["cc-pvdz", "aug-cc-pvtz"])
    with pytest.raises(InputError, match="no common cardinal number"):
        cardinal_number({"N": "cc-pvtz", "H": "cc-pvdz"})


def test_points_from_records_of_runs():
    flat = {"basis": "cc-pvdz", "hf": -1.0, "energy": -1.1, "energy_error": 1e-5}
    result = {
        "system": {"basis": "cc-pvtz"},
        "references": {"hf": -1.05},
        "energy": -1.2,
        "energy_error": None,
    }
    made, family = basis_points([flat, result])
    assert made == [BasisPoint(2, -1.0, -1.1, 1e-5), BasisPoint(3, -1.05, -1.2, 0.0)]
    assert family == "cc-pVXZ"
    # Virtual orbitals were left out: what is extrapolated has the correction for them.
    cut = {**result, "estimates": {"mp2_corrected": {"energy": -1.23}}}
    (whole, again), _ = basis_points([cut, {**flat, "mp2_corrected": -1.15}])
    assert (whole.energy, again.energy) == (-1.23, -1.15)
    assert basis_points([{**flat, "mp2_corrected": None}])[0][0].energy == -1.1
    with pytest.raises(InputError, match="no Hartree-Fock energy"):
        basis_points([{**flat, "hf": None}])
    with pytest.raises(InputError, match="names no basis"):
        basis_points([{"energy": -1.0}])
    with pytest.raises(InputError, match="different families"):
        basis_points([flat, {**flat, "basis": "aug-cc-pvtz"}])


def fci_points(atoms, letters="dtq"):
    """HF and FCI (CCSD of two electrons) in cc-pVXZ."""
    from pyscf import cc, gto, scf

    found = []
    for letter in letters:
        molecule = gto.M(atom=atoms, basis=f"cc-pv{letter}z", unit="bohr", verbose=0)
        field = scf.RHF(molecule).run(conv_tol=1e-11)
        pairs = cc.CCSD(field)
        pairs.conv_tol = 1e-9
        found.append(
            {"basis": f"cc-pv{letter}z", "hf": field.e_tot, "energy": field.e_tot + pairs.kernel()[0]}
        )
    return found


@pytest.mark.parametrize(
    ("atoms", "exact"),
    [
        # Kolos, Szalewicz, Monkhorst, J. Chem. Phys. 84, 3278 (1986); Pekeris, Phys. Rev. 115, 1216 (1959).
        ("H 0 0 0; H 0 0 1.4011", -1.174476),
        ("He 0 0 0", -2.903724),
    ],
)
def test_two_electron_systems_reach_their_exact_limits(atoms, exact):
    made, family = basis_points(fci_points(atoms))
    for used in (made[:2], made[1:], made):
        limit = basis_limit(used, family=family)
        gap = used[-1].energy - exact
        assert abs(limit.energy - exact) < limit.error < gap * (1.1 if len(used) == 2 else 0.5) + 1e-4
        assert abs(limit.energy - exact) < 0.2 * gap
    assert abs(limit.energy - exact) < 1e-4
    assert limit.error < 5e-4


@pytest.mark.parametrize(
    ("atom", "letters", "smallest", "published"),
    # Lehtola, arXiv:1810.11651 (numerical Hartree-Fock).
    [("He", "tq", 0.05, -2.861679996), ("Be", "dt", 0.01, -14.573023168)],
)
def test_hartree_fock_limits_of_atoms_with_s_shells(atom, letters, smallest, published):
    """A long row of s functions has the same limit, to a microhartree, without any extrapolation."""
    from pyscf import gto, scf

    def field(basis):
        return scf.RHF(gto.M(atom=f"{atom} 0 0 0", basis=basis, verbose=0)).run(conv_tol=1e-11).e_tot

    row = field({atom: [[0, [smallest * 1.9**k, 1.0]] for k in range(28)]})
    assert row == pytest.approx(published, abs=1e-6)
    made = [("dtq".index(x) + 2, e := float(field(f"cc-pv{x}z")), e) for x in letters]
    part = basis_limit(made).hf
    assert abs(part.energy - row) < part.error < 3e-4
    assert part.energy < made[-1][1]

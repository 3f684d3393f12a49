"""Power laws recovered from exact and noisy data."""

import json

import numpy as np
import pytest

from hamiltonians import InputError
from nnbf.analysis import fit_power_law, scaling_table

SIZES = np.array([8, 12, 16, 20, 24, 28])


def test_exact_power_law():
    law = fit_power_law(SIZES, 3e-4 * SIZES**2.5)
    assert law.exponent == pytest.approx(2.5, abs=1e-12)
    assert law.prefactor == pytest.approx(3e-4, rel=1e-10)
    assert law.exponent_error < 1e-12
    assert np.allclose(law(SIZES), 3e-4 * SIZES**2.5)
    assert (law.n_points, law.n_left_out, law.x_range) == (6, 0, (8.0, 28.0))


def test_standard_error_is_that_of_the_scatter():
    rng = np.random.default_rng(1)
    laws = [fit_power_law(SIZES, 2.0 * SIZES**3 * np.exp(0.1 * rng.normal(size=6))) for _ in range(2000)]
    exponents = np.array([law.exponent for law in laws])
    # Var p = sigma^2 / sum (ln x - mean)^2.
    exact = 0.1 / np.sqrt(np.sum((np.log(SIZES) - np.log(SIZES).mean()) ** 2))
    assert exponents.mean() == pytest.approx(3.0, abs=4 * exact / np.sqrt(2000))
    assert exponents.std() == pytest.approx(exact, rel=0.06)
    assert np.mean([law.exponent_error**2 for law in laws]) == pytest.approx(exact**2, rel=0.08)
    inside = [law.interval[0] < 3.0 < law.interval[1] for law in laws]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


def test_errors_of_points_are_a_lower_limit():
    y = SIZES**2.0
    law = fit_power_law(SIZES, y, 0.1 * y)
    exact = 0.1 / np.sqrt(np.sum((np.log(SIZES) - np.log(SIZES).mean()) ** 2))
    assert law.exponent_error == pytest.approx(exact, rel=1e-9)


def test_missing_values_are_left_out():
    y = [*(5.0 * SIZES**1.5), None, float("nan"), 0.0, -1.0, 7.0]
    law = fit_power_law([*SIZES, 32, 36, 40, 44, None], y)
    assert law.exponent == pytest.approx(1.5, abs=1e-12)
    assert (law.n_points, law.n_left_out) == (6, 5)


@pytest.mark.parametrize("x", [(), (4, 8), (4, 8, 8, 4)])
def test_too_few_sizes_are_refused(x):
    with pytest.raises(InputError, match="different sizes"):
        fit_power_law(x, np.ones(len(x)))


def test_lengths_must_agree():
    with pytest.raises(InputError, match="equally long"):
        fit_power_law(SIZES, SIZES[1:])


def test_table_of_records():
    rows = [{"n_spin_orbitals": int(n), "time": 0.1 * n**2, "space": n if n > 20 else None} for n in SIZES]
    table = scaling_table(rows, ("time", "space", "memory"))
    assert table.laws["time"].exponent == pytest.approx(2.0, abs=1e-12)
    assert table.missing["space"].startswith("2 different sizes")
    assert table.missing["memory"].startswith("0 different sizes")
    assert json.loads(json.dumps(table.record()))["laws"]["time"]["n_points"] == 6

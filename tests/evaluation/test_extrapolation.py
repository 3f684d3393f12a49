"""Extrapolation of synthetic histories whose end is known."""

import numpy as np
import pytest

from nnbf.evaluation import Point, extrapolate, settled_points

EXACT = -75.0


def points(curvature=0.0, x=(0.02, 0.006, 0.002, 0.0005), noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return [
        Point(64 * 4**k, EXACT + 0.8 * v + curvature * v**2 + noise * v * rng.normal(), v, -v)
        for k, v in enumerate(x)
    ]


@pytest.mark.parametrize("method", ["pt2", "variance"])
class TestExtrapolate:
    def test_straight_line_is_found_exactly(self, method):
        fit = extrapolate(points(), method)
        assert fit.energy == pytest.approx(EXACT, abs=1e-11)
        assert fit.coefficients[1] == pytest.approx(0.8, abs=1e-8)
        assert fit.error < 1e-10

    @pytest.mark.parametrize("curvature", [6.0, -8.0])
    def test_error_covers_curvature(self, method, curvature):
        found = points(curvature)
        fit = extrapolate(found, method)
        assert 0 < abs(fit.energy - EXACT) < fit.error < found[-1].energy - EXACT

    def test_error_covers_scatter(self, method):
        fits = [extrapolate(points(noise=0.1, seed=seed), method) for seed in range(200)]
        inside = [abs(fit.energy - EXACT) < fit.error for fit in fits]
        assert 0.6 < np.mean(inside) < 0.95

    def test_two_points_are_refused(self, method):
        assert "2 settled stages" in extrapolate(points()[-2:], method)

    def test_stages_before_the_energy_falls_do_not_count(self, method):
        early = Point(16, EXACT - 1.0, 0.5, -0.5)
        assert extrapolate([early, *points()], method) == extrapolate(points(), method)

    def test_exact_end_needs_none(self, method):
        assert "zero" in extrapolate([*points(), Point(10**6, EXACT - 1e-6, 0.0, 0.0)], method)


def row(step, grown_from=None):
    return {"step": step, "variance": 1e-9, "pt2": -1.0, "grown_from": grown_from}


def test_points_are_states_that_grew_and_the_final_one():
    grown = [
        {"n_space": n, "energy": e, "variance": v, "pt2": p}
        for n, e, v, p in ((1, -74.0, 1.0, -1.0), (256, -74.9, 0.1, -0.1), (1024, -74.99, 0.02, -0.01))
    ]
    history = [row(0, grown[0]), row(1), row(2, grown[1]), row(3), row(4, grown[2]), row(5)]
    result = {
        "n_determinants": 1024,
        "estimates": {
            "variational": {"energy": -74.991, "variance": 0.019},
            "pt2": {"energy": -75.0, "correction": -0.009},
        },
    }
    assert settled_points(history, None) == [Point(**grown[1]), Point(**grown[2])]
    assert settled_points(history, result) == [Point(**grown[1]), Point(1024, -74.991, 0.019, -0.009)]


def test_histories_without_full_variances_give_none():
    # `variance` of a row is that inside V, and says nothing about what V leaves out.
    assert settled_points([row(0), row(1)], {"estimates": {}, "n_determinants": 4}) == []

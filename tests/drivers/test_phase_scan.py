"""Scans over the interaction: order at (pi, pi), crossings, limits of infinite size."""

import numpy as np
import pytest

from hamiltonians import InputError, Lattice, lattice_configurations, lattice_to_sparse
from nnbf.drivers.options import LatticeOptions
from nnbf.drivers.phase_scan import (
    ScanPoint,
    critical_interaction,
    crossings,
    order_parameter,
    scan_interaction,
)


def point(length, interaction, ratio, error=0.01, structure=0.0):
    return ScanPoint(
        (length, length), length**2, (length,), interaction, (0, 0), 0.0, 0.0, "vmc", structure, 1e-3,
        ratio, error, "converged",
    )  # fmt: skip


def curve(length, interaction, critical=1.2):
    """A ratio that depends on (V - V_c) L alone: all sizes cross at V_c."""
    return 0.5 + 0.3 * np.tanh(0.2 * (interaction - critical) * length)


def test_crossings_of_scaling_curves():
    grid = (0.6, 0.9, 1.2, 1.5, 1.8)
    points = [point(size, v, curve(size, v)) for size in (4, 6, 8) for v in grid]
    found = crossings(points)
    assert [c.sizes for c in found] == [((4, 4), (6, 6)), ((6, 6), (8, 8))]
    for crossing in found:
        assert abs(crossing.interaction - 1.2) < 1e-6
        assert crossing.found > 0.9
        assert 0.0 < crossing.error < 0.3
    value, error = critical_interaction(points)
    assert abs(value - 1.2) < 1e-6
    assert error == pytest.approx(found[-1].error, abs=1e-6)


def test_the_error_of_a_crossing_covers_its_scatter():
    rng = np.random.default_rng(1)
    grid, off = (0.6, 0.9, 1.2, 1.5, 1.8), []
    for _ in range(40):
        points = [point(size, v, curve(size, v) + 0.01 * rng.normal()) for size in (4, 8) for v in grid]
        (found,) = crossings(points)
        off.append((found.interaction - 1.2) / found.error)
    assert 0.6 < np.std(off) < 1.5


def test_no_crossing_is_said():
    points = [point(size, v, 0.1 * size + v) for size in (4, 6) for v in (1.0, 2.0, 3.0)]
    with pytest.raises(InputError, match="do not cross"):
        critical_interaction(points)
    with pytest.raises(InputError, match="common"):
        crossings(points[:2] + points[3:5])
    with pytest.raises(InputError, match="two sizes"):
        crossings(points[:3])


def test_order_parameter_is_the_limit_of_infinite_size():
    points = [point(size, 2.0, 0.5, structure=0.08 + 0.3 / size) for size in (4, 6, 8, 10)]
    value, error = order_parameter(points)[2.0]
    assert value == pytest.approx(0.08, abs=1e-9)
    assert 0.0 < error < 0.01
    assert order_parameter(points[:2]) == {}


def test_a_scan_finds_the_structure_factor_of_exact_states():
    model = Lattice("tv", (4, 2), 3, V=2.0)
    options = LatticeOptions(features=3, depth=1, max_steps=60)
    (found,) = scan_interaction([model], options)
    vectors = np.linalg.eigh(lattice_to_sparse(model).toarray())
    assert found.kind == "full_sum"
    assert found.energy == pytest.approx(vectors[0][0], abs=1e-5)
    weights = vectors[1][:, 0] ** 2
    n = lattice_configurations(model) - 3 / 8
    sign = (-1.0) ** model.cells.sum(axis=1)
    assert found.structure == pytest.approx(weights @ (n @ sign) ** 2 / 64, abs=1e-4)
    with pytest.raises(InputError, match="even sides"):
        next(scan_interaction([Lattice("tv", (3, 3), 2)]))

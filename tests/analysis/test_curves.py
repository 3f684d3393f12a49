"""Constants of diatomics from Morse curves, where they are known, and from scans that have none."""

import json

import numpy as np
import pytest
from scipy import constants

from hamiltonians import InputError
from nnbf.analysis import diatomic_constants, non_parallelity, reduced_mass

DEPTH, RANGE, DISTANCE, BOTTOM = 0.36, 2.7, 1.0977, -109.5  # close to N2
MASSES = (14.0, 14.0)


def morse(r):
    return BOTTOM + DEPTH * (1 - np.exp(-RANGE * (np.asarray(r) - DISTANCE))) ** 2


def exact():
    """omega_e, omega_e x_e and B_e of the Morse curve in cm^-1."""
    mass = 7.0 * constants.atomic_mass
    a = RANGE / constants.angstrom
    depth = DEPTH * constants.value("Hartree energy")
    per_cm = 100 * constants.c
    omega = a * np.sqrt(2 * depth / mass) / (2 * np.pi * per_cm)
    anharmonicity = constants.hbar * a**2 / (4 * np.pi * per_cm * mass)
    rotation = constants.hbar / (4 * np.pi * per_cm * mass * (DISTANCE * constants.angstrom) ** 2)
    return {
        "r_e": DISTANCE,
        "energy": BOTTOM,
        "omega_e": omega,
        "omega_e_x_e": anharmonicity,
        "b_e": rotation,
    }


@pytest.mark.parametrize(
    ("grid", "within"),
    [
        (np.arange(1.0, 1.3, 0.025), {"r_e": 1e-5, "omega_e": 0.1, "omega_e_x_e": 0.1, "energy": 1e-6}),
        (np.arange(0.9, 1.5, 0.05), {"r_e": 1e-4, "omega_e": 1.0, "omega_e_x_e": 0.3, "energy": 1e-5}),
        (np.arange(0.75, 2.3, 0.15), {"r_e": 3e-4, "omega_e": 12.0, "omega_e_x_e": 1.0, "energy": 2e-4}),
    ],
    ids=["fine", "medium", "coarse"],
)
def test_morse_curve_is_recovered_within_its_error(grid, within):
    found = diatomic_constants(grid, morse(grid), masses=MASSES)
    for name, true in exact().items():
        off = abs(getattr(found, name) - true)
        assert off <= getattr(found, f"{name}_error")
        assert off <= within.get(name, 1e-2)
    for name, width in within.items():
        assert getattr(found, f"{name}_error") < 2 * width
    assert [fit.name for fit in found.fits][-1] == "Morse"
    assert found.fits[-1].omega_e == pytest.approx(exact()["omega_e"], rel=1e-6)


def test_well_depth():
    grid = np.append(np.arange(0.9, 1.5, 0.05), 8.0)
    found = diatomic_constants(grid, morse(grid), masses=MASSES, errors=np.full(len(grid), 1e-4))
    assert found.well_depth == pytest.approx(DEPTH, abs=2e-5)
    assert 1e-4 < found.well_depth_error < 2.5e-4
    assert not found.notes
    given = diatomic_constants(
        grid[:-1], morse(grid[:-1]), masses=MASSES, dissociation=BOTTOM + 0.3, dissociation_error=1e-3
    )
    assert given.well_depth == pytest.approx(0.3, abs=2e-5)
    assert given.well_depth_error == pytest.approx(1e-3, rel=0.01)
    short = diatomic_constants(grid[:-1], morse(grid[:-1]), masses=MASSES)
    assert any("no asymptote" in note for note in short.notes)


@pytest.mark.parametrize("declared", [True, False])
def test_errors_hold_what_noise_does(declared):
    grid, noise = np.arange(0.95, 1.35, 0.025), 3e-5
    rng = np.random.default_rng(2)
    true, inside, sizes = exact(), [], []
    for _ in range(60):
        errors = np.full(len(grid), noise) if declared else None
        shaken = morse(grid) + noise * rng.normal(size=len(grid))
        found = diatomic_constants(grid, shaken, masses=MASSES, errors=errors)
        inside.append(
            [abs(getattr(found, name) - true[name]) < getattr(found, f"{name}_error") for name in true]
        )
        sizes.append(abs(found.omega_e - true["omega_e"]) / found.omega_e_error)
    # At least a standard deviation, not many.
    assert np.all(np.mean(inside, axis=0) > 0.6)
    assert np.mean(sizes) > 0.15


@pytest.mark.parametrize(
    ("grid", "side"), [(np.arange(1.15, 2, 0.1), "shorter"), (np.arange(0.6, 1.1, 0.1), "longer")]
)
def test_minimum_at_the_edge_is_refused(grid, side):
    with pytest.raises(InputError, match=f"add {side} distances"):
        diatomic_constants(grid, morse(grid), masses=MASSES)


@pytest.mark.parametrize(
    ("r", "e", "words"),
    [
        ([1.0, 1.1, 1.2, 1.3], [0, -1, -0.9, -0.8], "4 points are too few"),
        ([1.0, 1.1, 1.1, 1.2, 1.3], [0, -1, -1, -0.9, -0.8], "positive and different"),
        ([1.0, 1.1, 1.2, 1.3, 1.4], [0, -1, None, -0.8, -0.7], "not finite"),
        ([1.0, 1.1, 1.2, 1.3, 1.4], [0, -1], "give as many of each"),
    ],
)
def test_scans_that_cannot_be_fitted(r, e, words):
    with pytest.raises(InputError, match=words) as caught:
        diatomic_constants(r, e, masses=MASSES)
    assert "\n" not in str(caught.value)


def test_masses():
    assert reduced_mass(("H", "H")) == pytest.approx(1.00782503 / 2, abs=1e-6)
    assert reduced_mass(("n", "N")) == pytest.approx(14.0030740 / 2, abs=1e-6)
    grid = np.arange(0.9, 1.5, 0.05)
    by_name = diatomic_constants(grid, morse(grid), ("C", "O"))
    assert by_name.reduced_mass == pytest.approx(12 * 15.9949146 / 27.9949146, abs=1e-6)
    assert by_name.omega_e == pytest.approx(exact()["omega_e"] * np.sqrt(7 / by_name.reduced_mass), rel=1e-3)
    assert json.loads(json.dumps(by_name.record()))["n_points"] == by_name.n_points
    with pytest.raises(InputError, match="no mass is known for 'D'"):  # not that of H
        reduced_mass(("D", "H"))
    with pytest.raises(InputError, match="give the two atoms"):
        diatomic_constants(grid, morse(grid))
    with pytest.raises(InputError, match="must be positive"):
        diatomic_constants(grid, morse(grid), masses=(1.0, 0.0))


def test_non_parallelity():
    reference = np.array([-1.0, -1.2, -1.1, -1.0])
    found = non_parallelity(
        reference + np.array([1e-3, 4e-3, -2e-3, 0.0]), reference, [1e-4, 3e-4, 4e-4, 9.0]
    )
    assert found.error == pytest.approx(6e-3)
    assert found.uncertainty == pytest.approx(5e-4)
    assert found.largest == pytest.approx(4e-3)
    assert found.mean == pytest.approx(0.75e-3)
    shifted = non_parallelity(reference + 7e-3, reference)
    assert shifted.error == pytest.approx(0.0, abs=1e-12)
    part = non_parallelity([-1.0, None, -1.0], [-1.1, -1.2, -1.3])
    assert part.error == pytest.approx(0.2)
    assert np.isnan(part.differences[1])
    with pytest.raises(InputError, match="1 geometries"):
        non_parallelity([-1.0, None], [-1.0, -1.0])
    with pytest.raises(InputError, match="same geometries"):
        non_parallelity([-1.0], [-1.0, -1.0])

"""Observables by name: a registered function is measured, recorded and shown, on its kinds of problems."""

import numpy as np
import pytest

from hamiltonians import Lattice
from nnbf.estimate import Estimate
from nnbf.observables import (
    Configurations,
    lattice_observables,
    observable,
    observable_registry,
    registered_observables,
)

MODEL = Lattice("tv", (4, 2), 3, V=1.0)


@pytest.fixture
def occupied_corner(monkeypatch):
    """An observable as one adds it, in a registry of its own."""
    registered_observables("lattice")
    copied = {kind: dict(known) for kind, known in observable_registry._REGISTRY.items()}
    monkeypatch.setattr(observable_registry, "_REGISTRY", copied)

    @observable("occupied_corner", unit="particles", on=("lattice",), label="particles on site 0")
    def occupied_corner(measured):
        return measured.configurations.average(measured.configurations.occupations[:, 0])

    return occupied_corner


def test_a_new_observable_is_measured_recorded_and_shown(occupied_corner):
    def log_psi(occupations):
        return 0.3 * occupations[:, 0].astype(complex)

    exact = lattice_observables(MODEL, Configurations.enumerated(MODEL, log_psi), log_psi)
    found = exact["occupied_corner"]
    # C(7, 2) of C(8, 3) configurations have the first site, with weight e^0.6.
    expected = 21 * np.exp(0.6) / (21 * np.exp(0.6) + 35)
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert (found.kind, found.unit) == ("full_sum", "particles")
    assert exact.record()["occupied_corner"] == {
        "value": pytest.approx(expected),
        "error": 0.0,
        "kind": "full_sum",
    }
    assert "| particles on site 0 |" in exact.table().markdown()
    assert exact.occupied_corner is found
    assert "occupied_corner" not in {entry.name for entry in registered_observables("molecule")}


def test_names_are_there_once(occupied_corner):
    with pytest.raises(ValueError, match="already"):

        @observable("double_occupancy", on=("lattice",))
        def another(measured):
            return Estimate(0.0)


def test_what_is_not_there(occupied_corner):
    def log_psi(occupations):
        return np.zeros(len(occupations), complex)

    found = lattice_observables(MODEL, Configurations.enumerated(MODEL, log_psi), log_psi)
    assert found["double_occupancy"] is None
    assert found.record()["s_squared"] is None
    with pytest.raises(AttributeError, match="no observable 'colour'"):
        found.colour  # noqa: B018

"""Spectra as loops over `solve`: levels that are cut short go on in the middle."""

import pytest

from hamiltonians import InputError, Lattice, build_molecule, space_group
from nnbf.drivers import LatticeOptions, Monitor, SolverOptions, solve, spectrum

MODEL = Lattice("tv", (3, 2), 2, V=1.0)
OPTIONS = LatticeOptions(features=2, depth=1, max_steps=5)


def test_a_second_level_resumes_with_the_same_bits():
    sectors = [space_group(MODEL).sector((0, 0))]
    rows, saved, done = [], [], []

    def keep(take, must):
        saved.append(take())
        return True

    whole = spectrum(MODEL, sectors, OPTIONS, levels=2, monitor=Monitor(rows.append, save=keep))
    assert [level.number for level in whole.levels] == [0, 1]
    assert {row["level"] for row in rows} == {0, 1}
    place = next(
        s
        for s in saved
        if s["level"] == 1 and s["driver"]["stage"] == 0 and s["driver"]["run"]["driver"]["step"] == 3
    )
    again = []
    monitor = Monitor(again.append, resume=place, on_level=done.append)
    part = spectrum(MODEL, sectors, OPTIONS, levels=2, monitor=monitor)
    assert [level.energy.value for level in part.levels] == [level.energy.value for level in whole.levels]
    assert part.levels[0].n_steps == whole.levels[0].n_steps
    assert again[0]["step"] == 3
    assert [row["energy"] for row in again] == [row["energy"] for row in rows[-len(again) :]]
    assert [level.number for level in done] == [0, 1]
    assert part.energy.value == min(level.energy.value for level in whole.levels)


def test_a_molecule_is_summed_over_its_whole_sector():
    system = build_molecule("H2", "sto-3g")
    options = SolverOptions(hidden=(4,), n_determinants=1)
    outcome = solve(system, options, method="full-sum")
    assert outcome.energy.value == pytest.approx(system.references["fci"], abs=1e-7)
    assert (outcome.energy.kind, outcome.status) == ("full_sum", "converged")
    record = outcome.lowest.record()
    assert (record["level"], record["sector"]["momentum"], record["kind"]) == (0, None, "full_sum")
    with pytest.raises(InputError, match="full_sum_limit"):
        solve(system, SolverOptions(full_sum_limit=0), method="full-sum")
    with pytest.raises(InputError, match="no method 'selected' for a lattice: give full-sum, vmc"):
        solve(MODEL, OPTIONS, method="selected")

"""Spectra as loops over `solve`: levels that are cut short go on in the middle."""

from collections import Counter
from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from hamiltonians import InputError, Lattice, build_molecule, space_group
from nnbf.drivers import LatticeOptions, Level, Monitor, SolverOptions, calculation, solve, spectrum
from nnbf.estimate import Estimate

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


@pytest.mark.parametrize(
    ("statuses", "stops", "expected"),
    [
        (["converged", "converged", "max_steps"], False, "converged"),
        (["converged"], True, "interrupted"),  # between two attempts
        (["converged", "interrupted"], True, "interrupted"),  # in one that is not the best
        (["converged", "time_limit"], False, "time_limit"),
    ],
)
def test_a_doubtful_level_is_not_done_before_its_last_attempt(statuses, stops, expected, monkeypatch):
    sector, made = space_group(MODEL).sector((0, 0)), []

    def attempt(problem, options, **rest):
        number = len(made)
        made.append(number)
        energy = Estimate(-1.0 + 0.1 * number, 0.0, "full_sum", unit="t", upper_bound=True, variance=1.0)
        state = SimpleNamespace(n_coordinates=10**9, variables={})
        level = Level(problem, energy, statuses[number], 1, 1, 0.0, None, None, sector=sector, state=state)
        return SimpleNamespace(lowest=level)

    monkeypatch.setattr(calculation, "solve", attempt)
    monitor = Monitor(should_stop=lambda: stops and len(made) == len(statuses))
    level = calculation._Attempts(MODEL, sector, OPTIONS, []).best(monitor, None)
    assert (level.status, level.energy.value, len(made)) == (expected, -1.0, len(statuses))


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


@pytest.mark.parametrize("when", ["processes begin", "a level is written"])
def test_what_breaks_off_a_spectrum_ends_its_processes(when, monkeypatch):
    ended = []

    class Pool:
        def __init__(self, *arguments, **options):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *error):
            assert ended == [True], "it would wait for all sectors"

        def submit(self, *arguments):
            if when == "processes begin":
                raise KeyboardInterrupt
            future = Future()
            future.set_result(([SimpleNamespace(reference=None)], Counter()))
            return future

        def shutdown(self, cancel_futures):
            ended.append(cancel_futures)

    def on_level(level):
        raise KeyboardInterrupt

    monkeypatch.setattr(calculation, "ProcessPoolExecutor", Pool)
    sectors = [space_group(MODEL).sector(momentum) for momentum in [(0, 0), (1, 0)]]
    with pytest.raises(KeyboardInterrupt):
        spectrum(MODEL, sectors, OPTIONS, monitor=Monitor(on_level=on_level), workers=2)
    assert ended == [True]

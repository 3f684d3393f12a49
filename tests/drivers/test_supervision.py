"""Runs that go wrong: back to the best state with smaller steps, a bounded number of times, and saved."""

import math

import netket as nk
import numpy as np
import pytest

from hamiltonians import InputError
from nnbf.drivers.monitor import Monitor, pack_tree, unpack_tree
from nnbf.drivers.supervision import MAX_REWINDS, DivergenceError, EnergyGuard, supervise


class Descent:
    """Gradient descent on E(x) = x^2 - 10, which runs away where the rate is above 1."""

    def __init__(self, rate, *, x=1.0, broken=()):
        self.configured, self.x, self.level = rate, x, 0
        self.broken = broken  # steps whose outcome is no number
        self.step_count = 0
        self.row = {}

    @property
    def rate(self):
        return self.configured / 4.0**self.level

    @property
    def converged(self):
        return abs(self.x) < 1e-3

    def snapshot(self):
        return {"step": self.step_count, "x": self.x, "level": self.level}

    def restore(self, snapshot):
        self.step_count, self.x, self.level = (snapshot[key] for key in ("step", "x", "level"))

    def restrain(self, level):
        self.level = level

    def run(self, n_iter, *, out, callback, show_progress):
        try:
            for _ in range(n_iter):
                if self.converged:
                    return
                for each in callback:
                    each.on_step_start(self.step_count, {}, self)
                self.row = {"step": self.step_count, "energy": self.x**2 - 10.0}
                self.x = math.nan if self.step_count in self.broken else self.x * (1.0 - 2.0 * self.rate)
                for each in callback:
                    each.on_step_end(self.step_count, {}, self)
                self.step_count += 1
        except nk.callbacks.RunFinished:
            pass


class Recorder:
    """Saves every snapshot that is offered, and rows as a history does."""

    def __init__(self):
        self.saved, self.rows = [], []

    def checkpoint(self, take, must):
        self.saved.append(take())
        return True

    def row(self, row):
        del self.rows[row["step"] :]
        self.rows.append(row)


def supervised(driver, steps=100, max_rewinds=MAX_REWINDS, **options):
    recorder = Recorder()
    monitor = Monitor(**{"on_row": recorder.row, "save": recorder.checkpoint, **options})
    return supervise(driver, steps, monitor, max_rewinds=max_rewinds), recorder


def test_a_good_run_is_left_alone():
    driver = Descent(0.1)
    ending, recorder = supervised(driver)
    assert (ending.status, ending.warnings) == ("converged", ())
    assert [row["step"] for row in recorder.rows] == list(range(driver.step_count))
    assert {row["rewinds"] for row in recorder.rows} == {0}
    assert [saved["driver"]["step"] for saved in recorder.saved] == list(range(driver.step_count + 1))


def test_steps_that_run_away_are_made_smaller():
    """Rates of 8, 2 and 1.2 diverge; the fourth of the latter does not."""
    for rate, returns in ((1.2, 1), (2.0, 1), (8.0, 2)):
        driver = Descent(rate, x=10.0)
        ending, recorder = supervised(driver)
        assert ending.status == "converged"
        assert driver.level == len(ending.warnings) == returns
        assert all("diverges" in warning for warning in ending.warnings)
        assert [row["step"] for row in recorder.rows] == list(range(driver.step_count))
        assert recorder.rows[-1]["rewinds"] == returns
        energies = [row["energy"] for row in recorder.rows]
        assert energies == sorted(energies, reverse=True)


def test_nan_once_costs_one_return():
    driver = Descent(0.1, broken={5})
    broken = driver.run

    def run(n_iter, **options):
        try:
            broken(n_iter, **options)
        except FloatingPointError:
            driver.broken = ()
            raise

    driver.run = run
    ending, recorder = supervised(driver, 1000)
    assert ending.status == "converged"
    (warning,) = ending.warnings
    # The energy of step 6 is that of the broken parameters; the best state is the one before step 5.
    assert "step 6: the energy is not finite" in warning
    assert "returned to step 5" in warning
    assert [row["step"] for row in recorder.rows] == list(range(driver.step_count))
    assert all(math.isfinite(row["energy"]) for row in recorder.rows)


def test_nan_always_ends_the_run_with_the_best_state_saved():
    driver = Descent(0.1, broken=range(5, 1000))
    recorder = Recorder()
    with pytest.raises(DivergenceError, match="also after 3 returns to the best state") as caught:
        supervised(driver, on_row=recorder.row, save=recorder.checkpoint, max_rewinds=3)
    assert caught.value.step == 5
    last = recorder.saved[-1]
    assert last["driver"]["step"] == 5
    assert last["driver"]["x"] == pytest.approx(0.8**5)
    assert last["driver"]["level"] == 4
    # Resuming starts with still smaller steps, and with all returns again.
    again = Descent(0.1)
    ending, _ = supervised(again, 10_000, resume=last)
    assert ending.status == "converged"
    assert again.level == 4


def test_resuming_anywhere_gives_the_same_bits():
    def rows(recorder):
        return [{**row, "time_s": None} for row in recorder.rows]

    for rate in (0.05, 1.2):
        _, whole = supervised(Descent(rate, x=10.0))
        for saved in whole.saved:
            _, rest = supervised(Descent(rate, x=3.0), resume=saved)
            step = saved["driver"]["step"]
            if rest.rows and saved["guard"]["rewinds"] == whole.saved[-1]["guard"]["rewinds"]:
                assert rows(rest) == rows(whole)[step:]
            assert rest.saved[-1]["driver"] == whole.saved[-1]["driver"]


def test_how_runs_end():
    assert supervised(Descent(0.01), 5)[0].status == "max_steps"
    assert supervised(Descent(0.01), should_stop=lambda: True)[0].status == "interrupted"
    ending, recorder = supervised(Descent(0.01), deadline=0.0)
    assert ending.status == "time_limit"
    assert len(recorder.rows) == 1
    assert recorder.saved[-1]["driver"]["step"] == 1
    done, recorder = supervised(Descent(0.01), 5, resume=recorder.saved[-1])
    assert done.status == "max_steps"
    assert [row["step"] for row in recorder.rows[0:]] == [1, 2, 3, 4]
    # Nothing left to do, or less than that.
    for steps in (5, 3):
        assert supervised(Descent(0.01), steps, resume=recorder.saved[-1])[0].status == "max_steps"


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, ZeroDivisionError])
def test_whatever_breaks_a_step_the_state_before_it_is_saved(error):
    class Breaks(nk.callbacks.AbstractCallback):
        def on_step_start(self, step, log_data, driver):
            if step == 4:
                driver.x = 77.0  # half a step
                raise error

    driver, recorder = Descent(0.1), Recorder()
    first = Descent(0.1)
    supervised(first, 4)

    def saves_when_told(take, must):
        return must and recorder.checkpoint(take, must)

    class After(Breaks):
        def on_step_start(self, step, log_data, driver):
            pass

        def on_step_end(self, step, log_data, driver):
            super().on_step_start(step, log_data, driver)

    with pytest.raises(error):
        supervised(driver, save=saves_when_told, callbacks=(After(),))
    (saved,) = recorder.saved
    assert saved["driver"] == first.snapshot()


def test_a_checkpoint_of_other_options_is_refused():
    with pytest.raises(InputError, match="the checkpoint does not fit the options of the run"):
        supervised(Descent(0.1), resume={"elapsed_s": 0.0, "driver": {"step": 3}})
    tree = {"kernel": np.ones((2, 3))}
    for leaves in ([], pack_tree({"kernel": np.ones((3, 2))}), [np.ones((2, 3), np.float32)]):
        with pytest.raises(ValueError, match="the snapshot has"):
            unpack_tree(leaves, like=tree)


def step(energy, number=1, stage=0, **more):
    return {"step": number, "energy": energy, "stage": stage, **more}


def test_what_running_away_means():
    guard = EnergyGuard({"best": 0})
    guard.check(step(-10.0, variance=0.04), {"best": 1})
    guard.check(step(-9.5), {"best": 2})  # within three times the larger of 0.2 and 0.1
    assert guard.best == {"best": 1}
    with pytest.raises(FloatingPointError, match=r"the energy rose from -10 to -9\.3"):
        guard.check(step(-9.3), {"best": 3})
    guard.check(step(-12.0), {"best": 4})
    guard.check(step(-9.3), {"best": 5})  # two Hartree were gained: six may be lost
    assert guard.best == {"best": 4}
    for energy in (math.nan, math.inf, -math.inf):
        with pytest.raises(FloatingPointError, match="not finite"):
            guard.check(step(energy), {"best": 6})
    # Another stage may have any energy, and its first state is the best of it.
    guard.check(step(50.0, stage=1), {"best": 7})
    assert guard.best == {"best": 7}


def test_a_good_state_that_is_lost_is_running_away_too():
    guard = EnergyGuard({"best": 0})
    rows = [(-10.0, 4.0, 0.0), (-11.9, 0.01, 0.0), (-11.5, 0.1, 0.0), (-11.0, 1.0, 0.3)]
    for step, (energy, variance, error) in enumerate(rows):
        guard.check(
            {"step": step, "energy": energy, "variance": variance, "energy_error": error}, {"best": step}
        )
    assert (guard.best, guard.lowest_spread) == ({"best": 1}, pytest.approx(0.1))
    lost = {"step": 4, "energy": -11.0, "variance": 1.0, "energy_error": 0.01}
    with pytest.raises(FloatingPointError, match="lost its best state"):
        guard.check(lost, {})
    earlier = {name: value for name, value in guard.snapshot().items() if name != "lowest_spread"}
    again = EnergyGuard({})
    again.restore(earlier)  # a checkpoint from before
    assert again.lowest == guard.lowest


def test_an_energy_that_is_noisy_is_not_the_best():
    guard = EnergyGuard({"best": 0})
    guard.check(step(-10.0, energy_error=0.01), {"best": 1})
    guard.check(step(-10.1, energy_error=0.2), {"best": 2})
    assert guard.best == {"best": 1}


def test_a_guard_goes_on_where_it_was():
    guard = EnergyGuard({"best": 0})
    for number, energy in enumerate((-10.0, -10.5, -10.4)):
        guard.check(step(energy, number), {"best": number})
    other = EnergyGuard({})
    other.restore(guard.snapshot())
    assert other.snapshot() == guard.snapshot()
    for each in (guard, other):
        with pytest.raises(FloatingPointError, match=r"rose from -10 to -8\.4"):
            each.check(step(-8.4), {})

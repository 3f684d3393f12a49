"""Seconds of a step and until an energy is good enough, from histories whose answer is known."""

import numpy as np
import pytest

from nnbf.analysis import time_per_step, time_to_accuracy


def rows(seconds, spaces=None, stages=None):
    times = np.cumsum(seconds)
    return [
        {"time_s": float(time), "n_space": spaces and spaces[k], "stage": stages and stages[k]}
        for k, time in enumerate(times)
    ]


def test_steps_that_change_the_space_are_left_out():
    history = rows([9, 8, 7, 1, 1.2, 1.1, 6], [1, 2, 4, 4, 4, 4, 4])
    # 1, 1.2, 1.1 and 6 are on the final space: the median.
    assert time_per_step(history) == pytest.approx(1.15)


def test_stages_count_like_spaces():
    history = rows([5, 5, 5, 2, 2, 2], [4] * 6, ["train", "train", "train", "tail", "tail", "tail"])
    assert time_per_step([*history, *rows_after(history, [2, 2])]) == pytest.approx(2.0)


def rows_after(history, seconds):
    times = history[-1]["time_s"] + np.cumsum(seconds)
    return [{**history[-1], "time_s": float(time)} for time in times]


def test_too_few_steps_on_the_final_space_take_the_last_quarter():
    history = rows([10, 9, 8, 7, 6, 5, 4, 3], [1, 2, 3, 4, 5, 6, 7, 8])
    # Seven durations, 9 to 3: the last quarter is two of them.
    assert time_per_step(history) == pytest.approx(3.5)


@pytest.mark.parametrize("history", [[], rows([1.0]), [{"energy": -1.0}] * 3, [{"time_s": None}] * 3])
def test_without_two_times_there_is_none(history):
    assert time_per_step(history) is None


def test_the_first_step_that_is_good_enough():
    energies = [-0.5, None, -0.9985, -0.9, -0.9999]
    history = [{"energy": e, "time_s": 2.0 * k} for k, e in enumerate(energies)]
    assert time_to_accuracy(history, -1.0, 1.6e-3) == 4.0
    assert time_to_accuracy(history, -1.0, 1e-3) == 8.0
    assert time_to_accuracy(history, -1.0, 1e-5) is None
    # Below the exact energy, as samples may be, is good enough.
    assert time_to_accuracy(history, -0.4, 0.0) == 0.0
    assert time_to_accuracy([{"energy": -2.0, "time_s": None}], -1.0, 1.0) is None

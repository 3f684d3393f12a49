"""Options whose bounds stand in their annotations."""

import math
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
import pytest
from annotated_types import Ge, Gt, Interval, Le, Lt, MultipleOf

from hamiltonians import InputError
from nnbf._options import Checked, Positive


@dataclass(frozen=True)
class Options(Checked):
    """One field of every sort."""

    n_samples: Annotated[int, Ge(16), Le(1000)] = 64
    noise: Positive = 0.1
    share: Annotated[float, Interval(ge=0, lt=1)] = 0.5
    workers: Annotated[int, Interval(ge=1, le=8)] = 1
    window: Annotated[float, Gt(2), Lt(3)] = 2.5
    method: Literal["auto", "vmc"] = "auto"
    time_limit: Annotated[float, Interval(gt=0, le=math.inf)] | None = None
    total_spin: Annotated[float, MultipleOf(0.5)] | None = None
    penalty: Annotated[float, Ge(0)] = 0.0
    hidden: tuple[Annotated[int, Ge(1)], ...] = (64,)
    frozen: bool | int = False
    out: str | None = None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_samples": 3}, "n_samples must be at least 16, got 3"),
        ({"n_samples": 1001}, "n_samples must be at most 1000, got 1001"),
        ({"n_samples": 16.5}, "n_samples must be a whole number, got 16.5"),
        ({"n_samples": True}, "n_samples must be a whole number, got True"),
        ({"noise": -1}, "noise must be positive, got -1"),
        ({"noise": "much"}, "noise must be a number, got 'much'"),
        ({"noise": math.nan}, "noise must be positive, got nan"),
        ({"noise": math.inf}, "noise must be positive, and finite, got inf"),
        ({"noise": None}, "noise must be a number, got None"),
        ({"share": 1.0}, r"share must lie in [0, 1), got 1.0"),
        ({"workers": 9}, "workers must be from 1 to 8, got 9"),
        ({"window": 2}, "window must be above 2, got 2"),
        ({"window": 3}, "window must be below 3, got 3"),
        ({"method": "magic"}, "method must be one of auto, vmc, got 'magic'"),
        ({"time_limit": 0}, "time_limit must be positive, got 0"),
        ({"total_spin": 0.3}, "total_spin must be a multiple of 0.5 from 0, got 0.3"),
        ({"total_spin": -0.5}, "total_spin must be a multiple of 0.5 from 0, got -0.5"),
        ({"penalty": math.inf}, "penalty must be 0 or more, and finite, got inf"),
        ({"hidden": (64, 0)}, "hidden must each be at least 1, got (64, 0)"),
        ({"hidden": 64}, "hidden must be a tuple, got 64"),
        ({"out": 3}, "out must be text, got 3"),
    ],
)
def test_values_out_of_bounds_are_refused(given, message):
    with pytest.raises(InputError) as error:
        Options(**given)
    assert str(error.value) == message


def test_values_within_bounds():
    options = Options(n_samples=np.int64(16), noise=np.float32(2), time_limit=math.inf, total_spin=1.5)
    assert replace(options, hidden=(1, 2), frozen=3, out="runs").hidden == (1, 2)
    with pytest.raises(InputError, match="n_samples"):
        replace(options, n_samples=2)

"""The history of a run in a few lines: what every stage of the variational space reached."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Stage:
    """Steps that were made on one variational space."""

    n_space: int | None
    """Determinants in V."""
    n_connected: int | None
    """Determinants in the connected space, where known."""
    first_step: int
    """Number of its first step."""
    last_step: int
    """Number of its last step."""
    time_s: float | None
    """Seconds at its end."""
    energy: float | None
    """Variational energy at its end."""
    variance: float | None
    """Energy variance on V at its end."""


def stages(history: Sequence[Mapping[str, Any]]) -> list[Stage]:
    """Group the rows of a history by the size of V and the stage they name."""
    found: list[Stage] = []
    key: tuple[Any, Any] | None = None
    first = 0
    for index, row in enumerate(history):
        step = row.get("step", index)
        following = (row.get("stage"), row.get("n_space"))
        if following != key:
            key, first = following, step
        else:
            found.pop()
        found.append(
            Stage(
                row.get("n_space"), row.get("n_connected"), first, step, row.get("time_s"),
                row.get("energy"), row.get("variance"),
            )
        )  # fmt: skip
    return found

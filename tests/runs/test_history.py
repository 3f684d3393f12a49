"""The history of a run: whole rows, rising steps, one writer, no row lost for want of space."""

import errno
import json
import os

import pytest

from hamiltonians import InputError
from nnbf.runs.checkpoint import Checkpointing, CheckpointStore
from nnbf.runs.history import HistoryWriter


@pytest.fixture
def path(tmp_path):
    """Of a history file with the steps 0, 1 and 2."""
    path = tmp_path / "history.jsonl"
    with HistoryWriter(path) as history:
        for step in range(3):
            history.append({"step": step, "energy": -1.0 / 3.0})
    return path


def steps(path):
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


@pytest.fixture
def full_disk(monkeypatch):
    """Calling it with True takes all space away, with False gives it back."""
    real = os.pwrite

    def set_full(full):
        def fail(descriptor, content, place):
            real(descriptor, content[:7], place)  # a bit of it still fits
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "pwrite", fail if full else real)

    return set_full


def test_rows_are_appended(path):
    with HistoryWriter(path) as history:
        assert history.count == 3
        assert history.last == {"step": 2, "energy": -1.0 / 3.0}
        history.append({"step": 3})
        assert steps(path) == [0, 1, 2, 3]
        assert history.last == {"step": 3}


@pytest.mark.parametrize("kept", [(), (0,), (0, 1, 2), (1,), (0, 2)])
def test_some_rows_are_kept(path, kept):
    with HistoryWriter(path) as history:
        history.keep(lambda place, row: place in kept and row["step"] == place)
        assert history.count == len(kept)
        history.append({"step": len(kept)})
        with pytest.raises(InputError, match="another process"):
            HistoryWriter(path)
    assert steps(path) == list(range(len(kept) + 1))
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("kept", [0, 1, 3, 7])
def test_rows_are_taken_back(path, kept):
    lines = path.read_text().splitlines()
    with HistoryWriter(path) as history:
        history.keep_before(kept)
        assert path.read_text().splitlines() == lines[:kept]
        history.append({"step": 10})
        assert history.count == min(kept, 3) + 1
    assert steps(path) == [*range(min(kept, 3)), 10]


def test_a_step_that_is_made_again_takes_back_what_followed(path):
    with HistoryWriter(path) as history:
        history.append({"step": 1, "energy": 5.0})
        assert history.count == 2
    assert steps(path) == [0, 1]
    assert json.loads(path.read_text().splitlines()[-1])["energy"] == 5.0


@pytest.mark.parametrize(
    "tail", ['{"step": 3, "ener', "\x00\x00\x00\n", '{"step": 1}\n', "[]\n", '{"energy": 1.0}\n', "{}\n{}\n"]
)
def test_what_is_no_whole_row_is_cut_off(path, tail):
    with path.open("a") as stream:
        stream.write(tail)
    with HistoryWriter(path) as history:
        assert history.count == 3
        history.append({"step": 3})
    assert steps(path) == [0, 1, 2, 3]


def test_one_writer_at_a_time(path):
    with HistoryWriter(path), pytest.raises(InputError, match="another process is working in"):
        HistoryWriter(path)
    HistoryWriter(path).close()


def test_rows_wait_for_space(path, full_disk):
    with HistoryWriter(path) as history:
        full_disk(True)
        history.append({"step": 3})
        history.append({"step": 4})
        assert steps(path) == [0, 1, 2]
        assert history.count == 5
        assert history.last == {"step": 4}
        with pytest.raises(OSError, match="No space left"):
            history.sync()
        history.append({"step": 4, "again": True})
        full_disk(False)
        history.append({"step": 5})
        history.sync()
    assert steps(path) == [0, 1, 2, 3, 4, 5]
    assert json.loads(path.read_text().splitlines()[4])["again"] is True


class Clock:
    """Stands in for the clock."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr("nnbf.runs.checkpoint.time.monotonic", lambda: self.now)


def test_checkpoints_are_made_when_they_are_due(path, monkeypatch):
    clock = Clock(monkeypatch)
    store = CheckpointStore(path.parent / "checkpoint")

    def take(seconds=0.0):
        clock.now += seconds
        return {"step": clock.now}

    with HistoryWriter(path) as history:
        saves = Checkpointing(store, history, 30.0)
        assert not saves(take, False)
        clock.now += 31.0
        assert saves(take, False)
        assert not saves(take, False)
        assert saves(take, True)
        clock.now += 31.0
        # Saving took 10 seconds: nineteen times as long must pass before the next.
        assert saves(lambda: take(10.0), False)
        clock.now += 150.0
        assert not saves(take, False)
        clock.now += 60.0
        assert saves(take, False)
        assert saves.count == 4
        always = Checkpointing(store, history, 0.0)
        assert always(take, False)
        assert always(lambda: take(10.0), False)
        assert always(take, False)


def test_a_full_disk_costs_a_checkpoint_but_not_the_run(path, full_disk):
    store = CheckpointStore(path.parent / "checkpoint")
    warnings = []
    with HistoryWriter(path) as history:
        saves = Checkpointing(store, history, 0.0, warnings.append)
        assert saves(lambda: {"step": 3}, False)
        full_disk(True)
        history.append({"step": 3})
        # The checkpoint itself would fit: it must not be newer than the rows that it relies on.
        assert not saves(lambda: {"step": 4}, False)
        assert not saves(lambda: {"step": 5}, True)
        assert store.load().snapshot == {"step": 3}
        (warning,) = warnings
        assert saves.problems == [warning]
        assert "a checkpoint could not be written" in warning
        assert "No space left" in warning
        full_disk(False)
        assert saves(lambda: {"step": 6}, False)
    assert store.load().snapshot == {"step": 6}
    assert steps(path) == [0, 1, 2, 3]

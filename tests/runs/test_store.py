"""Checkpoints on disk: they come back bit by bit, two are kept, and damage of any kind is noticed."""

import errno
import math
import os
import shutil

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnbf.runs.checkpoint import (
    KEPT,
    CheckpointStore,
    DamagedFileError,
    flatten_nested,
    read_archive,
    unflatten_nested,
    write_archive,
)


def make_snapshot(step=0):
    """One of everything that drivers put into a snapshot."""
    same = np.linspace(0, 1, 50)
    return {
        "step": step,
        "driver": {
            "variables": [jnp.arange(6.0).reshape(2, 3) / 7, np.float32(0.1) * np.ones(3, np.float32)],
            "determinants": np.array([[2**64 - 1, 3]], dtype=np.uint64),
            "none": None,
            "flag": True,
            "text": "β",
            "random": np.random.default_rng(step).bit_generator.state,
            "infinite": math.inf,
            "complex": np.array([1 + 2j]),
            "empty": np.zeros((0, 2), dtype=np.uint64),
            "scalar": np.array(1.5),
            "twice": [same, {"again": same}],
        },
    }


def assert_same(found, expected):
    """Equal to the last bit, in value, shape and type."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif hasattr(expected, "dtype"):
        array = np.asarray(expected)
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        assert found.tobytes() == array.tobytes()
    else:
        assert type(found) is type(expected)
        assert found == expected


@pytest.fixture
def store(tmp_path):
    """A store with checkpoints of the steps 1 and 2."""
    store = CheckpointStore(tmp_path / "checkpoint", run="this one")
    for step in (1, 2):
        store.save(make_snapshot(step))
    return store


def test_a_snapshot_comes_back_bit_by_bit(store):
    found = store.load()
    assert_same(found.snapshot, make_snapshot(2))
    assert found.problems == ()
    assert found.file == store.files()[-1]


@settings(max_examples=50, deadline=None)
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("aβ#", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("aβ", max_size=3), inner, max_size=3),
    max_leaves=8,
))  # fmt: skip
def test_what_json_knows_comes_back(value):
    assert_same(unflatten_nested(flatten_nested({"value": value})), {"value": value})


def test_equal_arrays_are_kept_once():
    assert len(flatten_nested({"a": np.ones(9), "b": [np.ones(9)], "c": np.ones((3, 3))})) == 1 + 2


@pytest.mark.parametrize(
    "wrong", [{"f": print}, {1: 2}, {"#array": 1}, {"o": np.array([None])}, {"t": np.array(["text"])}]
)
def test_what_no_checkpoint_can_hold_is_refused_before_anything_is_written(wrong, tmp_path):
    store = CheckpointStore(tmp_path / "checkpoint")
    with pytest.raises(TypeError, match=r"a checkpoint cannot hold|keys are text"):
        store.save(wrong)
    assert store.files() == []


def test_the_last_two_are_kept(store):
    for step in range(3, 8):
        store.save(make_snapshot(step))
        assert len(store.files()) == KEPT == 2
        assert store.load().snapshot["step"] == step
    store.files()[-1].unlink()
    assert store.load().snapshot["step"] == 6


def test_numpy_alone_can_read_a_checkpoint(store):
    with np.load(store.files()[-1], allow_pickle=False) as arrays:
        assert any(np.array_equal(arrays[name], [[2**64 - 1, 3]]) for name in arrays.files)


def cut(share):
    return lambda path, before: path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def make_folder(path, before):
    path.unlink()
    path.mkdir()


def of_another_run(path, before):
    other = CheckpointStore(path.parent / "other", run="another one")
    shutil.copy(other.save(make_snapshot(9)), path)


def without_digest(path, before):
    with path.open("wb") as stream:
        np.savez(stream, **flatten_nested({"run": "this one", "snapshot": make_snapshot(9)}))


def with_right_digest_but_other_content(path, before):
    write_archive(path, {"weights": np.ones(3)})


DAMAGES = {
    "empty": (lambda path, before: path.write_bytes(b""), "it is empty"),
    "header only": (cut(0.01), "cut short"),
    "half": (cut(0.5), "cut short"),
    "no digest": (cut(0.99), "cut short"),
    "last byte": (lambda path, before: path.write_bytes(path.read_bytes()[:-1]), "cut short"),
    "longer": (lambda path, before: path.write_bytes(path.read_bytes() + b"x"), "cut short"),
    "zeros": (lambda path, before: path.write_bytes(bytes(5000)), "cut short"),
    "text": (lambda path, before: path.write_text("{}"), "cut short"),
    "folder": (make_folder, "Is a directory"),
    "another run": (of_another_run, "it belongs to another run"),
    "no digest at all": (without_digest, "no checkpoint"),
    "other arrays": (with_right_digest_but_other_content, "tree"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_is_noticed_and_the_one_before_is_used(store, kind):
    damage, reason = DAMAGES[kind]
    before, newest = store.files()
    damage(newest, before)
    found = store.load()
    assert found.snapshot["step"] == 1
    assert found.file == before
    (problem,) = found.problems
    assert f"the checkpoint {newest} is not used" in problem
    assert reason in problem
    # The one of use is not pushed out by the one that is damaged.
    store.save(make_snapshot(5))
    assert before in store.files()
    assert store.load().snapshot["step"] == 5


def test_every_flipped_bit_is_noticed(store):
    newest = store.files()[-1]
    content = newest.read_bytes()
    places = np.random.default_rng(0).choice(8 * len(content), 200, replace=False)
    # The mark and the digest at the end, whole.
    for place in {*places.tolist(), *range(8 * (len(content) - 77), 8 * len(content), 5)}:
        changed = bytearray(content)
        changed[place // 8] ^= 1 << (place % 8)
        newest.write_bytes(changed)
        with pytest.raises(DamagedFileError):
            read_archive(newest)
    newest.write_bytes(content)
    assert store.load().snapshot["step"] == 2


def test_missing_swapped_and_all_damaged(store):
    before, newest = store.files()
    aside = before.with_name("aside")
    newest.rename(aside)
    assert store.load().snapshot["step"] == 1
    before.rename(newest)
    aside.rename(before)
    assert store.load().snapshot["step"] == 1
    newest.write_bytes(b"x")
    assert store.load().snapshot["step"] == 2
    before.write_bytes(b"x")
    found = store.load()
    assert found.snapshot is None
    assert len(found.problems) == 2
    assert CheckpointStore(store.folder.parent / "absent").load().snapshot is None


def test_temporary_files_of_a_writer_that_was_killed_are_no_checkpoints(store):
    newest = store.files()[-1]
    newest.with_name(f".{newest.name}.4711.tmp").write_bytes(newest.read_bytes()[:100])
    assert store.load().snapshot["step"] == 2
    assert len(store.files()) == 2


@pytest.mark.parametrize("where", ["write", "fsync", "replace"])
def test_on_a_full_disk_the_old_checkpoints_stay(store, monkeypatch, where):
    before = {path: path.read_bytes() for path in store.files()}

    def fail(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    target = {
        "write": "nnbf.runs.checkpoint.hashlib.sha256",
        "fsync": "os.fsync",
        "replace": "pathlib.Path.replace",
    }
    with monkeypatch.context() as patch:
        patch.setattr(target[where], fail)
        with pytest.raises(OSError, match="No space left"):
            store.save(make_snapshot(3))
    assert {path: path.read_bytes() for path in store.folder.iterdir()} == before
    store.save(make_snapshot(4))
    assert store.load().snapshot["step"] == 4


def test_the_limit_on_file_sizes_stops_a_write_half_way(store):
    """Not a patched function but the operating system: the file grows until it must not."""
    import resource

    before = {path: path.read_bytes() for path in store.files()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            store.save(make_snapshot(3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path: path.read_bytes() for path in store.folder.iterdir()} == before

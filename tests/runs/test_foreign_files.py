"""Files that anybody may have written: read within bounds, or refused in a few words."""

import io
import json
import pickle
import struct
import zipfile

import numpy as np
import pytest

from hamiltonians import InputError
from hamiltonians.foreign import DEEPEST, parse_json, read_npz
from nnbf._io import read_toml
from nnbf.runs import RunDirectory
from nnbf.runs.checkpoint import CheckpointStore, write_archive
from nnbf.runs.history import read_rows


def archive(content, *, compressed=True):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as members:
        members.writestr("a.npy", content)
    return io.BytesIO(stream.getvalue())


def array(shape, descr="<f8", body=bytes(16)):
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (array("(2,)", body=bytes(30_000_000)), "unpacks to 30,0"),
        (array("(10000000000,)"), "does not fit its content"),
        (array("(-2,)"), "does not fit its content"),
        (array("(" * 250), "parentheses"),
        (array("(2,)", "|O", pickle.dumps([print])), "no numbers"),
        (b"\x93NUMPY\x09\x00", "unknown version"),
        (b"", "EOF"),
    ],
)
def test_archives_are_looked_at_before_they_are_unpacked(content, reason):
    with pytest.raises(ValueError, match=reason):
        read_npz(archive(content))


def test_archives_come_back():
    stream = io.BytesIO()
    np.savez_compressed(stream, a=np.arange(3), b=np.array(1j))
    found = read_npz(stream)
    assert found["a"].tolist() == [0, 1, 2]
    assert found["b"] == 1j


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "deeper"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "deeper"),
        ("9" * 5000, "5000 digits"),
        ("[1", "Expecting"),
    ],
)
def test_json_has_bounds(text, reason):
    with pytest.raises(ValueError, match=reason):
        parse_json(text)


@pytest.mark.parametrize(
    "content",
    [
        b"a = " + b"[" * 100_000,
        b"a = " + b"9" * 300,
        b"a" + b".a" * 60_000 + b" = 1",
        "a = 1".encode("utf-16"),
        b"#" * 1_000_001,
    ],
)
def test_toml_has_bounds(content, tmp_path):
    path = tmp_path / "c.toml"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_toml(path, "another")
    assert str(path) in str(caught.value)
    assert len(str(caught.value).replace(str(path), "")) < 200


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"step": 0, "energy": "x"}', "row.energy must be a number"),
        (b'{"step": -1}', "row.step"),
        (b"null", "row is missing"),
        (b'{"step": \x80}', "UTF-8"),
        (b'{"step": 1', "line 1"),
    ],
)
def test_a_damaged_line_of_a_history_is_named(line, reason, tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_bytes(line + b"\n")
    with pytest.raises(InputError, match=reason):
        read_rows(path)


@pytest.mark.parametrize(
    "tree", [{"run": "a", "snapshot": 1}, {"run": "a", "snapshot": {"driver": {"step": {"#array": {}}}}}]
)
def test_a_checkpoint_with_a_right_digest_and_no_snapshot_is_refused(tree, tmp_path):
    store = RunDirectory(tmp_path).checkpoints({"run": "a", "command": "molecule"})
    store.folder.mkdir()
    text = np.frombuffer(json.dumps(tree).encode(), np.uint8)
    write_archive(store.folder / "state-000001.npz", {"tree": text})
    with pytest.raises(InputError, match="remove it"):
        store.load()
    assert CheckpointStore(store.folder, "b").files() == store.files()

"""Compiled programs kept between processes: where, how much, and what happens where they cannot be kept."""

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import jax
import pytest

from nnbf import _caches

SETTINGS: dict[str, Any] = {}
SHOWN: list[str] = []

# As in the program, with a function in place of a calculation; prints what JAX counted.
PROCESS = """
import sys
from nnbf._caches import keep_programs
keep_programs(lambda line: print("warning:", line))
import jax
from jax import monitoring
counts = {"hits": 0, "misses": 0}
def count(event, **_):
    name = event.removeprefix("/jax/compilation_cache/cache_")
    if name in counts:
        counts[name] += 1
monitoring.register_event_listener(count)
print(float(jax.jit(lambda x: 3.0 * x + 1.0)(2.0)), counts["hits"], counts["misses"])
"""


@pytest.fixture
def clean(monkeypatch, tmp_path):
    """A user without a cache; the settings of JAX in this process are only written down."""
    for name in (_caches.VARIABLE, "JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        monkeypatch.setenv(name, "")  # brings back what was there
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(jax.config, "update", lambda name, value: SETTINGS.update({name: value}))
    monkeypatch.setattr(warnings, "showwarning", lambda message, *_: SHOWN.append(str(message)))
    SETTINGS.clear()
    SHOWN.clear()
    return tmp_path


def process(**environment):
    """Lines of a process like the program's."""
    done = subprocess.run(
        [sys.executable, "-c", PROCESS], env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def kept():
    lines = []
    _caches.keep_programs(lines.append)
    return os.environ.get("JAX_COMPILATION_CACHE_DIR"), lines


def test_programs_are_kept_in_the_users_caches(clean):
    folder, lines = kept()
    assert lines == []
    assert folder == str(clean / "nnbf" / "compiled" / "jax" / _caches.processor())
    assert os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] == "0"
    # JAX is here already, and has read the environment.
    assert SETTINGS["jax_compilation_cache_dir"] == folder
    assert SETTINGS["jax_persistent_cache_min_compile_time_secs"] == 0.0
    assert os.stat(folder).st_mode & 0o077 == 0  # nobody else's


def test_a_home_without_caches(clean, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(clean))
    assert _caches.cache_folder() == clean / ".cache" / "nnbf" / "compiled"


@pytest.mark.parametrize("word", ["off", "OFF", "0", "no"])
def test_off(clean, monkeypatch, word):
    monkeypatch.setenv(_caches.VARIABLE, word)
    assert kept() == (None, [])
    assert list(clean.iterdir()) == []


def test_a_folder_of_the_users(clean, monkeypatch):
    monkeypatch.setenv(_caches.VARIABLE, str(clean / "mine"))
    assert kept() == (str(clean / "mine" / "jax" / _caches.processor()), [])


def test_what_the_user_told_jax_stays(clean, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/somewhere")
    assert kept() == ("/somewhere", [])
    assert list(clean.iterdir()) == []


def test_a_folder_that_cannot_be_made(clean):
    (clean / "nnbf").write_text("in its place")
    folder, [line] = kept()
    assert folder is None
    assert "Not a directory" in line
    assert "NNBF_CACHE" in line
    assert len(line) < 300


def test_a_folder_of_somebody_else(clean, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 12345678)
    folder, [line] = kept()
    assert folder is None
    assert "somebody else" in line


@pytest.mark.slow
def test_the_second_process_compiles_nothing(clean):
    assert process() == ["7.0 0 1"]
    assert process() == ["7.0 1 0"]
    [file] = clean.rglob("*-cache")
    file.write_bytes(file.read_bytes()[:100])  # as of a process that was killed
    assert process() == ["7.0 0 1"]
    assert process() == ["7.0 1 0"]


def jax_warns(what, name, why):
    message = f"Error {what} persistent compilation cache entry for '{name}': {why}"
    warnings.showwarning(UserWarning(message), UserWarning, "compiler.py", 1)


def test_damaged_programs_are_deleted_without_a_word(clean):
    folder, lines = kept()
    for name in ("jit_one-a1-cache", "jit_one_more-a2-cache"):
        (Path(folder) / name).touch()
    jax_warns("reading", "jit_one", "error: Error -5 while decompressing data")
    assert [file.name for file in Path(folder).iterdir()] == ["jit_one_more-a2-cache"]
    assert lines == SHOWN == []


def test_programs_that_cannot_be_written(clean):
    _, lines = kept()
    for name in ("jit_one", "jit_two"):
        jax_warns("writing", name, "OSError: [Errno 28] No space left on device")
    [line] = lines
    assert "No space left" in line
    assert SETTINGS["jax_persistent_cache_min_compile_time_secs"] > 1e6  # no more is written
    warnings.showwarning(UserWarning("something else"), UserWarning, "file.py", 1)
    assert SHOWN == ["something else"]


def test_size_is_bounded(tmp_path):
    for number in range(8):
        folder = tmp_path / f"processor{number % 2}"
        folder.mkdir(exist_ok=True)
        (folder / f"p{number}").write_bytes(b"x" * 100)
        os.utime(folder / f"p{number}", (1e9 + number, 1e9 + number))
    _caches.prune(tmp_path, 800)
    assert len(list(tmp_path.rglob("p?"))) == 8
    _caches.prune(tmp_path, 799)
    assert sorted(file.name for file in tmp_path.rglob("p?")) == ["p3", "p4", "p5", "p6", "p7"]

"""Kernels whose programs are kept on disk, where that has room."""

import errno
import importlib.util
import os
import pickle

import numba

from hamiltonians.compiled import compiled

KERNEL = "from hamiltonians.compiled import compiled\n\n@compiled()\ndef double(x):\n    return 2 * x\n"


def loaded(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_programs_of_a_version_whose_modules_had_other_names_are_made_anew(tmp_path):
    path = tmp_path / "kernel.py"
    path.write_text(KERNEL)
    assert loaded(path).double(2) == 4
    (index,) = (tmp_path / "__pycache__").glob("*.nbi")
    good = index.read_bytes()
    index.write_bytes(pickle.dumps(numba.__version__) + b"cgone.module\nTables\n.")
    assert loaded(path).double(2) == 4
    assert index.read_bytes() == good
    again = loaded(path).double
    assert again(2) == 4
    assert sum(again.stats.cache_hits.values()) == 1


def test_options_of_numba_are_passed_on():
    assert compiled(fastmath=True)(lambda x: x).targetoptions["fastmath"] is True


def test_a_full_folder_costs_the_time_to_compile(tmp_path, monkeypatch):
    path = tmp_path / "kernel.py"
    path.write_text(KERNEL)

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile.save", full)
    assert loaded(path).double(2) == 4


def test_no_folder_for_programs_at_all(tmp_path, monkeypatch):
    path = tmp_path / "kernel.py"
    path.write_text(KERNEL)
    monkeypatch.setattr("numba.core.caching.FunctionCache._impl_class._locator_classes", [])
    assert loaded(path).double(2) == 4

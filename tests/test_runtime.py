"""What is imported, and when."""

import gc
import sys

import pytest

from nnbf import _runtime


def test_no_garbage_is_looked_for_during_imports():
    with _runtime.quick_imports():
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.disable()
    try:
        with _runtime.quick_imports():
            pass
        assert not gc.isenabled()  # left as it was
    finally:
        gc.enable()


def test_what_is_imported_stays_out_of_later_looks(monkeypatch):
    frozen = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(True))
    with _runtime.quick_imports():
        pass
    assert frozen == []  # not in a process of somebody else's
    monkeypatch.setattr(_runtime, "OWNED", [True])
    with _runtime.quick_imports():
        pass
    assert frozen == [True]


@pytest.fixture
def package(monkeypatch, tmp_path):
    """A package whose part is loaded by itself, unless something else stands in for it."""
    part = tmp_path / "some_package" / "part"
    part.mkdir(parents=True)
    (part.parent / "__init__.py").write_text("from some_package import part\n")
    (part / "__init__.py").write_text("LOADED = 1\nfrom some_package.part import below\n")
    (part / "below.py").write_text("NUMBER = 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "some_package"]:
        del sys.modules[name]


def test_a_part_is_loaded_when_it_is_asked_for(package):
    _runtime._load_when_asked("some_package", "part")
    import some_package  # pyright: ignore

    assert "LOADED" not in vars(some_package.part)
    from some_package.part.below import NUMBER

    assert NUMBER == 2
    assert "LOADED" not in vars(sys.modules["some_package.part"])
    assert some_package.part.LOADED == 1
    assert "LOADED" in vars(sys.modules["some_package.part"])
    assert some_package.part.LOADED == 1
    with pytest.raises(AttributeError):
        _ = some_package.part.nothing

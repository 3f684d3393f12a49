import json
import subprocess
import sys

import numpy as np
import pytest

from hamiltonians import (
    InputError,
    MolecularIntegrals,
    Molecule,
    SystemInfo,
    build_molecule,
    load_problem,
)


def _same(first, second):
    a, b = first.integrals, second.integrals
    for name in ("one_body", "two_body"):
        x, y = getattr(a, name), getattr(b, name)
        assert x.shape == y.shape
        assert x.tobytes() == y.tobytes()
    for name in ("constant", "n_alpha", "n_beta", "orbital_irreps", "point_group", "reference_occupation"):
        assert getattr(a, name) == getattr(b, name), name
    assert first.info == second.info
    assert dict(first.references) == dict(second.references)
    assert dict(first.reference_notes) == dict(second.reference_notes)


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("H", {}),
        ("N2", {"frozen_core": True}),
        ("NH3", {}),
        ("OH", {"reference": "uhf"}),
        ("NaH", {"basis": "lanl2dz"}),
        ("O2", {"orbitals": "boys"}),
    ],
)
def test_round_trip_is_bit_exact(tmp_path, name, options, suffix):
    system = build_molecule(name, **{"fci_limit": 100, **options})
    path = system.save(tmp_path / f"system{suffix}")
    _same(system, load_problem(path))
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]  # no temporary file is left


@pytest.mark.parametrize("spin_resolved", [False, True])
def test_random_and_signed_zero_integrals(tmp_path, random_integrals, spin_resolved):
    integrals = random_integrals(3, 2, 0, spin_resolved=spin_resolved)
    two_body = np.array(integrals.two_body)
    two_body[..., 0, 0] = -0.0
    two_body[..., 1, 1] = 0.0
    system = Molecule(MolecularIntegrals(0.1, integrals.one_body, two_body, 2, 0))
    _same(system, load_problem(system.save(tmp_path / "x.npz")))


def test_symmetric_systems_make_small_files(tmp_path, build):
    system = build("H2_eq", "cc-pvqz")
    size = system.save(tmp_path / "x.npz").stat().st_size
    assert size < system.integrals.two_body.nbytes / 8
    _same(system, load_problem(tmp_path / "x.npz"))


def test_overwriting_is_atomic(tmp_path, build, monkeypatch):
    path = build("LiH").save(tmp_path / "x.npz")
    before = path.read_bytes()

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(InputError, match="No space left"):
        build("N2").save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.npz"]


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_damaged_files(tmp_path, build, suffix):
    path = build("LiH").save(tmp_path / f"x{suffix}")
    content = path.read_bytes()
    for damaged in (b"", b"hello", content[: len(content) // 2], content[:-100]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="not a readable system file"):
            load_problem(path)


def test_flipped_byte_is_noticed(tmp_path, build):
    for suffix in (".npz", ".h5"):
        path = build("NH3").save(tmp_path / f"x{suffix}")
        content = bytearray(path.read_bytes())
        values = build("NH3").integrals.one_body.tobytes()
        position = bytes(content).find(values[8:64])
        assert position > 0
        content[position + 20] ^= 0x10
        path.write_bytes(bytes(content))
        with pytest.raises(InputError):
            load_problem(path)


def test_files_of_another_kind(tmp_path, build):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(InputError, match="not a saved problem"):
        load_problem(tmp_path / "other.npz")
    metadata = np.frombuffer(json.dumps({"format": "polymer", "version": 1}).encode(), dtype=np.uint8)
    np.savez(tmp_path / "polymer.npz", metadata=metadata)
    with pytest.raises(InputError, match=r"unknown kind of problem 'polymer', .*: give plugin the file"):
        load_problem(tmp_path / "polymer.npz")
    newer = np.frombuffer(json.dumps({"format": "molecular-system", "version": 99}).encode(), dtype=np.uint8)
    np.savez(tmp_path / "newer.npz", metadata=newer)
    with pytest.raises(InputError, match="newer"):
        load_problem(tmp_path / "newer.npz")


def test_missing_file_and_folder(tmp_path, build):
    with pytest.raises(InputError, match="no system file"):
        load_problem(tmp_path / "nothing.npz")
    with pytest.raises(InputError, match="no system file"):
        load_problem(tmp_path)
    with pytest.raises(InputError, match=r"cannot write .*No such file"):
        build("LiH").save(tmp_path / "nowhere" / "x.npz")
    with pytest.raises(InputError, match=r"\.npz or \.h5"):
        build("LiH").save(tmp_path / "x.txt")


def test_references_are_complete_and_frozen(build):
    system = Molecule(build("LiH").integrals, SystemInfo(), {"hf": -1.0})
    assert dict(system.references) == {"hf": -1.0, "mp2": None, "ccsd": None, "ccsd_t": None, "fci": None}
    with pytest.raises(TypeError):
        system.references["hf"] = 0.0
    with pytest.raises(InputError, match="'dmrg' is unknown"):
        Molecule(build("LiH").integrals, SystemInfo(), {"dmrg": -1.0})


def test_loading_needs_no_chemistry_package(tmp_path, build):
    """A GPU node often has neither PySCF nor OpenFermion; and nothing here may pull in JAX."""
    paths = [build("N2").save(tmp_path / "x.npz"), build("OH", reference="uhf").save(tmp_path / "x.h5")]
    script = """
import sys
banned = ("pyscf", "openfermion", "netket", "jax", "nnbf")
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in banned:
            raise ImportError(f"{name} is not installed here")
sys.meta_path.insert(0, Refuse())
import hamiltonians
for path in sys.argv[1:]:
    system = hamiltonians.load_problem(path)
    print(round(hamiltonians.determinant_energy(system.integrals), 6))
    hamiltonians.write_fcidump(system.integrals, path + ".FCIDUMP")
    again = hamiltonians.read_fcidump(path + ".FCIDUMP", references=False)
    print(round(again.references["hf"], 6))
assert not any(name.split(".")[0] in banned for name in sys.modules)
"""
    result = subprocess.run(
        [sys.executable, "-c", script, *map(str, paths)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["-107.498968"] * 2 + ["-74.362638"] * 2

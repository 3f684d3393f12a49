"""The manifests in `runs/`: every molecule, basis and potential of their points is there."""

from pathlib import Path

import pytest

from hamiltonians import read_geometry
from hamiltonians.molecule.basis_sets import resolve_basis, resolve_ecp
from nnbf.cli.sweep import vocabularies
from nnbf.sweep import plan_sweep

READY = sorted((Path(__file__).parents[2] / "runs").glob("*.toml"))


@pytest.mark.parametrize("manifest", READY, ids=lambda path: path.stem)
def test_all_points_can_be_built(manifest, tmp_path):
    plan = plan_sweep(manifest, vocabularies(), out=tmp_path)
    found = {
        (point.options["molecule"], point.options.get("unit", "angstrom"), point.options["basis"])
        for point in plan.points
    }
    assert found
    for molecule, unit, basis in found:
        symbols = {symbol for symbol, _ in read_geometry(molecule, unit=unit).atoms}
        assert set(resolve_basis(symbols, basis)) == symbols
        assert resolve_ecp(symbols, basis, None) == ({}, ())

"""Observables in run folders: what is written, shown, and given to a next run."""

import json

import numpy as np
import pytest

from hamiltonians import load_problem
from nnbf.cli import main
from nnbf.runs.checkpoint import read_archive
from nnbf.runs.session import write_observables

SMALL = ("--hidden", "8", "--n-determinants", "1")


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A finished run of LiH."""
    folder = tmp_path_factory.mktemp("observables") / "lih"
    assert main(["molecule", "LiH", *SMALL, "--rdm2", "--quiet", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def result(run_folder):
    return json.loads((run_folder / "result.json").read_text())


def test_a_trained_state_has_the_observables_of_fci(run_folder, result):
    from pyscf import fci

    system = load_problem(run_folder / "system.npz")
    integrals = system.integrals
    size, electrons = integrals.n_orbitals, (integrals.n_alpha, integrals.n_beta)
    _, vector = fci.direct_spin1.kernel(
        integrals.one_body, integrals.unpack_two_body(), size, electrons, ecore=integrals.constant
    )
    matrix = fci.direct_spin1.make_rdm1(vector, size, electrons)
    found = result["observables"]
    expected = np.linalg.eigvalsh(matrix)[::-1]
    assert found["natural_occupations"]["value"] == pytest.approx(expected, abs=1e-3)
    dipole = system.properties.dipole_constant + np.einsum("xpq,pq->x", system.properties.dipole, matrix)
    assert found["dipole_au"]["value"] == pytest.approx(dipole, abs=1e-3)
    assert found["s_squared"]["value"] == pytest.approx(0.0, abs=1e-3)
    assert result["s_squared"] == found["s_squared"]["value"]
    assert found["kind"] == result["energy_kind"]
    assert found["energy_from_densities"]["value"] == pytest.approx(result["energy"], abs=1e-9)


def test_density_matrices_are_written(run_folder):
    arrays = read_archive(run_folder / "rdm.npz")
    assert np.trace(arrays["one_body_spin_summed"]) == pytest.approx(4.0)
    assert np.einsum("pprr->", arrays["two_body_spin_summed"]) == pytest.approx(12.0)


def test_natural_orbitals_start_a_next_run(run_folder, result, tmp_path, capsys):
    file = run_folder / "natural_orbitals.npz"
    assert main(["fcidump", str(file), *SMALL, "--quiet", "--out", str(tmp_path / "next")]) == 0
    again = json.loads((tmp_path / "next" / "result.json").read_text())
    assert again["system"]["orbitals"] == "nnbf-natural"
    assert again["energy"] == pytest.approx(result["energy"], abs=1e-5)
    first, second = result["observables"], again["observables"]
    assert second["dipole_debye"]["norm"] == pytest.approx(first["dipole_debye"]["norm"], abs=1e-3)
    # Fewer determinants carry the state in its natural orbitals.
    ratios = [found["inverse_participation_ratio"]["value"] for found in (first, second)]
    assert ratios[1] > ratios[0] + 1e-3


def test_pages_and_tables_show_them(run_folder, result, capsys):
    from nnbf.cli.console import Progress
    from nnbf.cli.report import conclude

    conclude(run_folder, Progress())
    dipole = f"{result['observables']['dipole_debye']['norm']:.4f}"
    assert f"dipole {dipole} debye" in capsys.readouterr().out
    page = (run_folder / "report" / "index.html").read_text()
    assert "Largest determinants" in page
    assert dipole in page
    texts = [path.read_text() for path in (run_folder / "report").glob("*.md")]
    assert any("dipole moment" in text and dipole in text for text in texts)


def test_a_full_disk_is_an_error_of_the_system(tmp_path):
    """Not one of the input: the run then says how to go on."""
    from nnbf.observables import molecular_observables
    from nnbf.runs.directory import RunDirectory
    from tests.observables.molecules import fci_expansion, molecule

    system = molecule("LiH")
    found = molecular_observables(system.integrals, fci_expansion("LiH"))
    with pytest.raises(OSError, match="No such file"):
        write_observables(RunDirectory(tmp_path / "absent"), system, found)

"""One report over many runs and sweeps: the page, tables, VarBench rows and records."""

import csv
import json
import math
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from hamiltonians import InputError
from nnbf.cli import main
from nnbf.report import write_collection
from nnbf.report.hamiltonian_facts import varbench_file

TV = {
    "kind": "tv", "size": [4, 4], "particles": [5], "t": 1.0, "t_prime": 0.0, "U": 0.0, "V": 1.0,
    "geometry": "square", "boundary": ["pbc", "pbc"],
}  # fmt: skip
ENERGY, VARIANCE = -10.24062118379990594, 9.009253641658748757e-04
PIXEL = b"\x89PNG\r\n\x1a\n" + b"0" * 32


class Page(HTMLParser):
    """Tables by id, ids, links and scripts of a page; every tag must be closed in order."""

    VOID = ("meta", "img", "source", "input", "rect", "line", "polyline", "circle", "br")

    def __init__(self, path):
        super().__init__()
        self.text = path.read_text(encoding="utf-8")
        self.open, self.ids, self.targets, self.heads, self.rows, self.table = [], [], [], {}, {}, None
        self.feed(self.text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.targets += [attrs["href"]] if tag == "a" else []
        for forbidden in ("src", "srcset", "href"):
            assert attrs.get(forbidden, "#").startswith(("#", "data:")), attrs
        if tag == "table":
            self.table = attrs.get("id")
        if tag == "th" and self.table:
            self.heads.setdefault(self.table, []).append(attrs)
        if tag == "tr" and self.table:
            self.rows.setdefault(self.table, []).append([])
        if tag == "td" and self.table:
            self.rows[self.table][-1].append([attrs.get("data-value"), ""])

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag
        if tag == "table":
            self.table = None

    def handle_data(self, data):
        if self.table and "td" in self.open and self.rows[self.table][-1]:
            self.rows[self.table][-1][-1][1] += data

    def body(self, name):
        return [[cell[1] for cell in row] for row in self.rows[name] if row]


def csv_rows(path):
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


@pytest.fixture
def lattice_folder(tmp_path):
    """Make the folder of `nnbf spectrum`, or of another command on a lattice."""

    def make(name="tv", *, finished=True, system=TV, **changes):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        config = {
            "command": "spectrum",
            "command_line": "nnbf spectrum tv --size 4x4 --particles 5",
            "problem": {"model": "tv", "size": "4x4", "particles": "5", "interaction": 1.0},
            "solver": {"features": 8, "depth": 2, "n_determinants": 1, "jastrow": True, "cell": None},
            "limits": {},
            "seed": 0,
            "versions": {"nnbf": "0.1.0"},
            "git": {"commit": "0123456789abcdef", "modified": True},
            "hardware": {"processor": "abacus", "cores": 2},
        }
        (folder / "config.json").write_text(json.dumps(config))
        rows = [
            {"step": k, "time_s": 1.0 + k, "energy": e, "variance": 0.1, "sector": s, "level": 0}
            for k, (s, e) in enumerate([("(0,0)", -10.0), ("(0,0)", -10.2), ("(1,0)", -8.0)])
        ]
        (folder / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        level = {
            "irrep": None,
            "spin_flip": None,
            "level": 0,
            "kind": "full_sum",
            "error": 0.0,
            "n_states": 273,
        }
        result = {
            "command": "spectrum", "n_levels_wanted": 2, "estimates": {},
            "energy": ENERGY, "energy_kind": "vmc",
            "energy_error": 4.434055779122285710e-05, "energy_unit": "t", "variance": VARIANCE,
            "v_score": None, "n_parameters": 713, "status": "converged", "wall_time_s": 60.0, "seed": 0,
            "references": {"ed": -10.240650492312078}, "system": system, "versions": {"nnbf": "0.1.0"},
            "sector": {"momentum": [0, 0], "irrep": "B2", "spin_flip": None, "level": 0},
            "sectors": [
                {**level, "momentum": [0, 0], "energy": ENERGY, "reference": -10.240650492312078},
                {**level, "momentum": [1, 0], "energy": -8.06, "reference": None},
            ],
            **changes,
        }  # fmt: skip
        if finished:
            (folder / "result.json").write_text(json.dumps(result))
        return folder

    return make


@pytest.fixture
def sweep_folder(tmp_path, run_folder):
    """Make the folder of a sweep: a point that is done, one that failed, one that is missing."""

    def make(name="scan", **extra):
        run_folder(f"{name}/r0.7")
        points = [
            {"coordinates": {"r": 0.7, "basis": "a_b<c>"}, "directory": "r0.7", "status": "converged"},
            {"coordinates": {"r": 0.8}, "directory": "r0.8", "status": "failed", "reason": "no basis <x>"},
            {"coordinates": {"r": 0.9}, "directory": "r0.9", "status": "missing", "reason": None},
        ]
        content = {"format": 1, "name": name, "command": "molecule", "points": points, "timings": {}, **extra}
        (tmp_path / name / "sweep.json").write_text(json.dumps(content))
        return tmp_path / name

    return make


# ---- the page ------------------------------------------------------------------------------------------


def test_one_page_over_everything(run_folder, lattice_folder, sweep_folder, tmp_path):
    folders = [run_folder("one"), lattice_folder(), sweep_folder()]
    written = write_collection(folders, out=tmp_path / "out")
    page = Page(written.page)
    assert (written.n_runs, written.n_unreadable) == (5, 2)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "index.html", "records.json", "report.md", "tables.tex", "varbench.csv",
    ]  # fmt: skip
    assert [row[0] for row in page.body("runs")] == ["one", "tv", "scan/r0.7", "scan/r0.8", "scan/r0.9"]
    assert page.body("runs")[1][1:6] == [
        "t-V 4x4, N=5, V=1", "−10.24062(4)", "t", "VMC", "+0.03(4) 10⁻³ t",
    ]  # fmt: skip
    assert {target[1:] for target in page.targets} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert page.text.count("<script") == 1
    assert "prefers-color-scheme: dark" in page.text
    assert "@media print" in page.text
    assert "no basis &lt;x&gt;" in page.text
    assert "mind the &lt;gap&gt;" in page.text
    assert "nnbf molecule H2 &lt;&amp;&gt;" in page.text


def test_every_column_sorts(run_folder, lattice_folder, sweep_folder, tmp_path):
    page = Page(
        write_collection([run_folder("one"), lattice_folder(), sweep_folder()], out=tmp_path / "o").page
    )
    for name in ("runs", "varbench-rows", "sweep-1-points"):
        heads = page.heads[name]
        assert all(head["aria-sort"] == "none" and head["scope"] == "col" for head in heads)
        for row in (row for row in page.rows[name] if row):
            assert len(row) == len(heads)
            for head, (value, text) in zip(heads, row, strict=True):
                if head["data-sort"] == "number":
                    assert (value == "") == (text == "")
                    assert value == "" or math.isfinite(float(value))
    assert page.text.count('<button type="button">') == sum(
        len(page.heads[name]) for name in ("runs", "varbench-rows", "sweep-1-points")
    )
    energy = [float(row[2][0]) for row in page.rows["runs"] if row and row[2][0]]
    assert energy == [-1.1011, -10.240621183799906, -1.1011]


def test_report_is_the_same_every_time(run_folder, lattice_folder, tmp_path):
    folders = [run_folder(), lattice_folder()]
    first = write_collection(folders, out=tmp_path / "out")
    before = [path.read_bytes() for path in (first.page, first.records, first.latex)]
    again = write_collection(folders, out=tmp_path / "out")
    assert [path.read_bytes() for path in (again.page, again.records, again.latex)] == before
    assert not (folders[0] / "report").exists()


def test_works_without_solver_and_chemistry(run_folder, lattice_folder, tmp_path):
    program = """
import sys
sys.modules.update(dict.fromkeys(("pyscf", "jax", "netket", "openfermion")))
from nnbf.cli import main
sys.exit(main(["report", sys.argv[1]]) or main(["report", *sys.argv[1:]]))
"""
    words = [run_folder(warnings=[]), lattice_folder(), "--out", tmp_path / "out"]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_many_runs(run_folder, tmp_path):
    folders = [run_folder(f"many/{k:03}", energies=(-1.0, -1.0 - 1e-4 * k)) for k in range(60)]
    written = write_collection(folders)
    assert written.page == tmp_path / "many" / "report" / "index.html"
    assert len(Page(written.page).body("runs")) == 60
    assert written.page.stat().st_size < 1_000_000


# ---- what is given ---------------------------------------------------------------------------------------


def test_damaged_runs_are_listed(run_folder, lattice_folder, tmp_path):
    good = run_folder("good")
    broken = {
        "cut": lambda folder: (folder / "result.json").write_text('{"energy": -1.'),
        "binary": lambda folder: (folder / "history.jsonl").write_bytes(b"\xff\xfe\x00\n"),
        "list": lambda folder: (folder / "config.json").write_text("[]"),
        "words": lambda folder: (folder / "result.json").write_text(
            '{"energy": "low", "status": "converged"}'
        ),
        "references": lambda folder: (folder / "result.json").write_text('{"energy": -1, "references": 5}'),
        "steps": lambda folder: (folder / "history.jsonl").write_text(
            '{"step": 0, "energy": -1, "time_s": "x"}\n'
        ),
        "stub": lambda folder: [(folder / name).unlink() for name in ("config.json", "result.json")],
    }
    folders = [good]
    for name, damage in broken.items():
        folders.append(run_folder(name))
        damage(folders[-1])
    folders.append(lattice_folder("sectors", sectors=[{"energy": -1.0}, {"energy": None}]))
    folders.append(run_folder("going", finished=False))
    folders.append(run_folder("failed", status="failed", energy=None, estimates={}, message="not finite <!>"))
    folders.append(lattice_folder("begun", finished=False))
    written = write_collection(folders, out=tmp_path / "out")
    status = {row[0]: row[-1] for row in Page(written.page).body("runs")}
    assert status == {
        "good": "converged", **dict.fromkeys(broken, "damaged"), "stub": "broken off", "sectors": "damaged",
        "going": "running or broken off", "failed": "failed", "begun": "running or broken off",
    }  # fmt: skip
    assert written.n_unreadable == 8
    records = {record["run"]: record for record in json.loads(written.records.read_text())["runs"]}
    assert "result.json cannot be read" in records["cut"]["reason"]
    assert records["failed"]["reason"] == "not finite <!>"
    assert records["begun"]["hamiltonian"]["size"] == [4, 4]
    assert records["begun"]["energy"] == -10.2
    assert [row["run"] for row in csv_rows(written.varbench)] == ["good"]
    assert "* failed: not finite &lt;!>" in written.markdown.read_text()


def test_a_sweep_expands_to_its_points(sweep_folder, lattice_folder):
    folder = sweep_folder(
        limits=[
            {"molecule": "H2", "energy": -1.17447, "error": 2e-5, "formula": "X^-3", "points": [{"a": 1}]}
        ],
        scaling={"time": {"exponent": 2.5, "exponent_error": 0.1}},
        novel=[1, {"what": "is this"}],
    )
    (folder / "curve.png").write_bytes(PIXEL)
    # A point that is given by itself as well counts once.
    written = write_collection([folder / "r0.7", folder])
    assert written.page == folder / "report" / "index.html"
    assert written.n_runs == 3
    page = Page(written.page)
    assert [row[:3] for row in page.body("sweep-1-points")] == [
        ["r0.7", "0.7", "a_b<c>"], ["r0.8", "0.8", ""], ["r0.9", "0.9", ""],
    ]  # fmt: skip
    assert "3 points: 1 converged, 1 failed, 1 missing" in page.text
    assert "−1.174470(20)" in page.text
    assert "2.50(10)" in page.text
    assert page.text.count("data:image/png;base64,") == 1
    sweep = json.loads(written.records.read_text())["sweeps"][0]
    assert (sweep["directory"], sweep["limits"][0]["points"]) == ("..", [{"a": 1}])


def test_findings_of_a_sweep(sweep_folder):
    references = {"hf": -1.0, "ccsd_t": -1.09, "fci": -1.1}
    points = [
        {"x": x, "energy": e, "energy_error": 0.0, "s_squared": 0.0, "references": references}
        for x, e in ((0.6, -1.05), (0.7, -1.1), (0.8, -1.08))
    ]
    names = ("r_e", "omega_e", "omega_e_x_e", "b_e", "energy", "well_depth")
    constants = {**dict.fromkeys(names, 1.5), **{f"{name}_error": 0.03 for name in names}}
    part = {"energy": -0.5, "error": 1e-4}
    limit = {
        "name": "H2", "family": "cc-pVXZ", "energy": -1.17447, "error": 2e-4, "exact": -1.174476, "hf": part,
        "correlation": part, "formula": "X^-3", "references": {"fci": part}, "picture": "limit_H2.png",
    }  # fmt: skip
    curve = {
        "name": "", "x_label": "r (Å)", "points": points, "constants": {"energy": constants},
        "to_fci": {"largest": 1e-4, "error": 2e-5}, "picture": "curve.png", "notes": ["made without r0.9"],
    }  # fmt: skip
    laws = {"memory_mb": {"exponent": 2.5, "exponent_error": 0.3, "interval": [1.0, 4.0], "n_points": 3}}
    analysis = {
        "basis_limits": [limit],
        "curves": [curve],
        "scaling": [{"against": "n_orbitals", "quantities": ["memory_mb"], "series": {"": {"laws": laws}}}],
        "notes": ["no scaling of <b>"],
    }  # fmt: skip
    folder = sweep_folder(limits=limit, analysis=analysis)
    for name in ("curve", "limit_H2", "other"):
        (folder / f"{name}.png").write_bytes(PIXEL)
    text = Page(write_collection([folder]).page).text
    for shown in ("−1.17447(20)", "0.01(20)", "1.500(30)", "2.50(30)", "1.00 ... 4.00", "made without r0.9"):
        assert shown in text
    assert "at most 0.1000 mHa off, non-parallelity 0.0200 mHa" in text
    assert "no scaling of &lt;b&gt;" in text
    # The curve is drawn again in the colours of the page. The limit lacks what its figure needs.
    assert text.count("data:image/png;base64,") == 2
    assert 'aria-label="curve"' in text
    assert text.count('class="finding plain"') == 1


@pytest.mark.parametrize(
    "analysis",
    [
        {"basis_limits": [{"name": "H2"}], "curves": "none", "scaling": 5, "notes": 7},
        {"basis_limits": [3], "curves": [{"points": None}], "scaling": [{"against": "x"}], "notes": [None]},
        [],
    ],
)
def test_findings_of_other_versions(sweep_folder, analysis):
    page = Page(write_collection([sweep_folder(analysis=analysis, limits=None)]).page)
    assert len(page.body("runs")) == 3


def test_a_damaged_sweep_still_has_runs(sweep_folder):
    folder = sweep_folder()
    (folder / "sweep.json").write_text("{")
    page = Page(write_collection([folder]).page)
    assert [row[0] for row in page.body("runs")] == ["scan/r0.7"]
    assert "sweep.json is damaged" in page.text


def test_files_and_earlier_reports_are_left_out(run_folder, tmp_path, capsys):
    run_folder("runs/a")
    run_folder("runs/b")
    (tmp_path / "runs" / "c.toml").write_text("")
    for _ in range(2):
        assert main(["report", *map(str, sorted((tmp_path / "runs").iterdir()))]) == 0
    captured = capsys.readouterr()
    assert str(tmp_path / "runs" / "report" / "index.html") in captured.out
    assert captured.err.splitlines()[-1].count("left out") == 1
    assert "c.toml is a file" in captured.err
    assert "report is a report" in captured.err


def test_other_folders_are_refused(run_folder, refused, here, tmp_path):
    run_folder("here/runs/a")
    (here / "empty").mkdir()
    (here / "thesis").mkdir()
    (here / "thesis" / "thesis.tex").write_text("years of work")
    assert "there is no folder nowhere" in refused("report", "runs/a", "nowhere")
    assert "neither a run nor a sweep: give one with" in refused("report", "runs/a", "empty")
    assert "it holds 1 of them, give runs/*" in refused("report", "runs/a", "runs")
    assert "other files (thesis.tex)" in refused("report", "runs/a", "--out", "thesis")
    assert "is a file" in refused("report", "runs/a", "--out", "thesis/thesis.tex")
    with pytest.raises(InputError, match="no run given"):
        write_collection([here / "thesis" / "thesis.tex"])


# ---- rows, tables, records -----------------------------------------------------------------------------


def test_varbench_row_of_a_published_result(lattice_folder, tmp_path):
    # VarBench, tV/square_4_PP_5_1.md: "VMC Determinant Slater-Backflow-Jastrow with K=0".
    written = write_collection([lattice_folder()], out=tmp_path / "out")
    (row,) = csv_rows(written.varbench)
    assert float(row["energy"]) == ENERGY
    assert float(row["sigma"]) == 4.434055779122285710e-05
    assert float(row["variance"]) == VARIANCE
    assert int(row["dof"]) == 5
    assert float(row["einf"]) == pytest.approx(2.6667, abs=4e-5)
    assert float(row["v_score"]) == pytest.approx(2.7e-5, abs=5e-7)
    assert row["file"] == "tV/square_4_PP_5_1.md"
    assert row["reference"] == "nnbf 0.1.0 (commit 0123456789, with changes)"
    assert "momentum (0,0), B2, variational Monte Carlo" in row["method"]


@pytest.mark.parametrize(
    ("changes", "energy", "variance", "einf", "v_score"),
    [
        ({"V": 10.0}, -4.018, 1.377, 26.667, 7.3e-3),
        ({"size": [6, 6], "particles": [13]}, -22.07494, 0.01783, None, 2.4e-4),
        ({"size": [6, 6], "particles": [13], "V": 10.0}, -7.5666, 7.919, None, 1.1e-2),
        ({"size": [8, 8], "particles": [32], "V": 2.0}, -18.7, 9.32e-2, 62.98412698412698, None),
        ({"size": [8, 8], "particles": [32], "V": 4.0}, -9.8, 1.66e-1, 125.968253968254, None),
    ],
)
def test_other_rows_of_varbench(lattice_folder, tmp_path, changes, energy, variance, einf, v_score):
    folder = lattice_folder(system={**TV, **changes}, energy=energy, variance=variance)
    (row,) = csv_rows(write_collection([folder], out=tmp_path / "out").varbench)
    if einf is not None:
        assert float(row["einf"]) == pytest.approx(einf, rel=2e-5)
    if v_score is not None:
        assert float(row["v_score"]) == pytest.approx(v_score, rel=0.03)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"boundary": ["pbc", "apbc"], "V": 0.1}, "tV/square_4_PA_5_0.1.md"),
        ({"size": [4, 8], "boundary": ["pbc", "open"]}, "tV/rectangular_4x8_PO_5_1.md"),
        ({"kind": "hubbard", "particles": [5, 5], "U": 8.0, "V": 0.0}, "Hubbard/square_4_PP_5_5_8.md"),
        ({"kind": "hubbard", "particles": [5, 5], "U": 8.0, "V": 1.0}, None),
        ({"boundary": ["pbc", 0.25]}, None),
        ({"t": 2.0}, None),
        ({"geometry": "honeycomb"}, None),
    ],
)
def test_names_of_varbench(changes, name):
    assert varbench_file({**TV, **changes}) == name


def test_infinite_temperature_of_a_molecule(run_folder, system, tmp_path):
    folder = run_folder("with")
    system.save(folder / "system.npz")
    written = write_collection([folder, run_folder("without")], out=tmp_path / "out")
    first, second = json.loads(written.records.read_text())["runs"]
    # Four determinants, diagonal 0.7 + h_i + h_j + (ii|jj), of which only (00|00) and (11|11) are 0.1.
    assert first["einf"] == pytest.approx(0.7 - 1.6 + 0.05, abs=1e-12)
    assert first["v_score"] == pytest.approx(2 * 1e-6 / (-1.1011 + 0.85) ** 2, rel=1e-12)
    assert "Tr H / dim" in first["einf_definition"]
    assert first["hamiltonian"]["integrals"]["constant"] == 0.7
    assert second["einf"] is None
    assert second["einf_definition"] == "unknown: the run folder has no system.npz"
    assert second["hamiltonian"]["integrals"] is None


def test_records_are_complete(run_folder, lattice_folder, tmp_path):
    atoms = [["H", [0.0, 0.0, 0.0]], ["H", [0.0, 0.0, 0.74]]]
    folder = run_folder(
        "one", system={"formula": "H2", "basis": "sto-3g", "n_electrons": 2, "charge": 0, "atoms": atoms},
        variance=float("nan"), novel={"key": [1, 2]},
    )  # fmt: skip
    written = write_collection([folder, lattice_folder()], out=tmp_path / "out")
    molecule, lattice = json.loads(written.records.read_text(), parse_constant=pytest.fail)["runs"]
    assert molecule["hamiltonian"]["geometry"] == atoms
    assert (molecule["hamiltonian"]["basis"], molecule["hamiltonian"]["geometry_unit"]) == (
        "sto-3g",
        "angstrom",
    )
    assert molecule["directory"] == "../one"
    assert molecule["variance"] is None
    assert molecule["more"] == {"novel": {"key": [1, 2]}}
    assert molecule["hyperparameters"] == {"hidden": [64], "time_limit": None}
    assert {r["method"]: r["upper_bound"] for r in molecule["references"]}["FCI"] == "exact"
    assert molecule["references"][1] == {
        "method": "MP2", "energy": None, "upper_bound": "no", "note": "not asked for",
    }  # fmt: skip
    for record in (molecule, lattice):
        for key in (
            "energy",
            "energy_kind",
            "estimates",
            "method",
            "versions",
            "command_line",
            "dof",
            "seed",
        ):
            assert key in record
    assert lattice["hamiltonian"]["boundary"] == ["pbc", "pbc"]
    assert (lattice["git"]["commit"], lattice["architecture"]["features"]) == ("0123456789abcdef", 8)
    assert len(lattice["levels"]) == 2
    assert (lattice["hardware"]["processor"], molecule["hardware"]) == ("abacus", None)


def test_latex_tables(run_folder, lattice_folder, tmp_path):
    name = {"name": r"50% of {A_1} & \b #$^~<|>", "basis": "6-31g*", "n_electrons": 2}
    folders = [run_folder(system=name), lattice_folder()]
    text = write_collection(folders, out=tmp_path / "out").latex.read_text()
    assert r"50\% of \{A\_1\} \& \textbackslash{}b \#\$\textasciicircum{}\textasciitilde{}" in text
    assert r"$-10.24062(4)$ & ED & $-10.24065049$ & $+0.03(4)$ \\" in text
    assert r"$9.01 \times 10^{-4}$" in text
    bare = re.sub(r"\\[\\{}&%#$]", "", text)
    assert bare.count("{") == bare.count("}")
    assert text.count(r"\begin{longtable}") == text.count(r"\end{longtable}") == 3
    for table in re.findall(r"\\begin\{longtable\}\{(\w+)\}(.*?)\\end", text, re.DOTALL):
        for line in table[1].splitlines():
            if "&" in line:
                assert len(re.findall(r"(?<!\\)&", line)) == len(table[0]) - 1

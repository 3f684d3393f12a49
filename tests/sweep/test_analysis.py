"""What finished points say together: limits, curves, growth with size; and what is said where they cannot."""

import json
import sys

import numpy as np
import pytest

from hamiltonians.errors import InputError
from nnbf._text import value_with_error
from nnbf.analysis import basis_limit, diatomic_constants
from nnbf.cli.sweep import sweep
from nnbf.sweep import write_tables
from nnbf.sweep.names import RESULT_COLUMNS

PNG = b"\x89PNG\r\n\x1a\n"
# (E_HF, E_FCI) of He.
HELIUM = {
    "cc-pvdz": (-2.855160, -2.887595),
    "cc-pvtz": (-2.861153, -2.900232),
    "cc-pvqz": (-2.861514, -2.902411),
    "aug-cc-pvdz": (-2.855704, -2.889548),
    "aug-cc-pvtz": (-2.861183, -2.900598),
}


HEAD = '[base]\nmolecule = "He 0 0 0"\n'


@pytest.fixture
def finished(planned):
    """Plan a sweep and write the result of each point as a run would: `result(point)`, or none."""

    def make(text, result, histories=None):
        plan = planned(text)
        plan.begin()
        for point in plan.points:
            content = result(point)
            if content is None:
                continue
            run = plan.folder.run(point)
            run.mkdir(exist_ok=True)
            plan.folder.write_record(point)
            (run / "config.json").write_text("{}")
            complete = {"status": "converged", "energy_kind": "full_sum", "energy_error": 0.0, **content}
            (run / "result.json").write_text(json.dumps(complete))
            if histories is not None:
                rows = histories(point)
                (run / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        write_tables(plan)
        return plan, json.loads((plan.folder.path / "sweep.json").read_text())

    return make


def helium(point, scale=1.0):
    if point.options["basis"] not in HELIUM:
        return None
    hf, energy = HELIUM[point.options["basis"]]
    return {"energy": scale * energy, "references": {"hf": scale * hf, "fci": scale * energy - 1e-6}}


def text_of(plan):
    return (plan.folder.path / "sweep.md").read_text()


def test_limit_of_a_basis_axis_without_being_asked(finished):
    plan, content = finished(
        HEAD
        + '[grid]\nbasis = ["cc-pvdz", "cc-pvqz", "cc-pvtz", "cc-pv5z"]\n[analysis]\nexact = -2.903724\n',
        helium,
    )
    expected = basis_limit([(x, *HELIUM[f"cc-pv{letter}z"]) for x, letter in ((2, "d"), (3, "t"), (4, "q"))])
    limit = content["limits"]
    assert limit["energy"] == expected.energy
    assert limit["error"] == expected.error
    assert (limit["kind"], limit["formula"]) == ("extrapolated", expected.formula)
    assert abs(limit["energy"] - limit["exact"]) < limit["error"]
    assert [point["directory"] for point in limit["points"]] == ["cc-pvdz", "cc-pvtz", "cc-pvqz"]
    assert limit["references"]["fci"]["energy"] == pytest.approx(expected.energy - 1e-6, abs=1e-9)
    assert "made without cc-pv5z (missing)" in limit["notes"]
    assert content["analysis"]["basis_limits"] == [limit]
    assert (plan.folder.path / "limit.png").read_bytes().startswith(PNG)
    shown = value_with_error(expected.energy, expected.error)
    away = value_with_error(1e3 * (expected.energy + 2.903724), 1e3 * expected.error, digits=4)
    (row,) = (line for line in text_of(plan).splitlines() if line.startswith("| cc-pV{DTQ}Z"))
    assert row.startswith(f"| cc-pV{{DTQ}}Z | {shown} | ")
    assert f" | {away} | " in row


def test_groups_and_families_have_limits_of_their_own(finished, undrawn):
    _, content = finished(
        '[grid]\nmolecule = ["He 0 0 0", "He 0 0 1"]\n'
        'basis = ["cc-pvdz", "cc-pvtz", "sto-3g", "aug-cc-pvdz", "aug-cc-pvtz"]\n'
        '[[override]]\nwhen = { basis = "*tz" }\nmax-space = 9\n'
        '[[override]]\nwhen = { basis = "aug*", molecule = "* 1" }\nskip = true\n'
        '[[point]]\nmolecule = "He 0 0 0"\nbasis = "cc-pvqz"\nmax-space = 7\n',
        lambda point: helium(point, 2.0 if point.options["molecule"].endswith("1") else 1.0),
    )
    limits = content["analysis"]["basis_limits"]
    assert [(limit["group"]["molecule"], limit["family"], len(limit["points"])) for limit in limits] == [
        ("He 0 0 0", "cc-pVXZ", 3),  # with the point beside the grid
        ("He 0 0 0", "aug-cc-pVXZ", 2),
        ("He 0 0 1", "cc-pVXZ", 2),
    ]
    assert limits[2]["energy"] == pytest.approx(
        2 * basis_limit([(2, *HELIUM["cc-pvdz"]), (3, *HELIUM["cc-pvtz"])]).energy
    )
    assert content["limits"] == limits[0]
    assert len({limit["picture"] for limit in limits}) == 3
    assert not content["analysis"]["notes"]


def test_corrections_of_second_order_are_errors_of_the_points(finished, undrawn):
    def result(point):
        made = helium(point)
        second = {"pt2": {"energy": made["energy"] - 1e-3}, "variational": {"energy": made["energy"]}}
        whole = (
            {"mp2_corrected": {"energy": made["energy"] - 4e-3}}
            if point.options["basis"] == "cc-pvtz"
            else {}
        )
        return {**made, "energy_kind": "variational", "estimates": {**second, **whole}}

    grid = HEAD + '[grid]\nbasis = ["cc-pvdz", "cc-pvtz"]\n[analysis]\n'
    _, content = finished(grid + 'energy = "pt2"\n', result)
    small, large = content["limits"]["points"]
    assert small["energy"] == pytest.approx(HELIUM["cc-pvdz"][1] - 1e-3, abs=1e-12)
    assert small["error"] == pytest.approx(0.25e-3)
    assert large["energy"] == pytest.approx(HELIUM["cc-pvtz"][1] - 5e-3, abs=1e-12)
    assert large["error"] == pytest.approx(np.hypot(0.25e-3, 1.2e-3))
    (said,) = (note for note in content["limits"]["notes"] if "MP2" in note)
    assert said.startswith("energies in cc-pvtz have the MP2 correction")


def test_corrections_of_the_headline(finished, undrawn):
    def result(point):
        made = helium(point)
        estimates = {"pt2": {"energy": made["energy"] - 1e-3}, "variational": {"energy": made["energy"]}}
        return {**made, "energy_kind": "variational", "estimates": estimates}

    _, content = finished(HEAD + '[grid]\nbasis = ["cc-pvdz", "cc-pvtz"]\n', result)
    assert [point["error"] for point in content["limits"]["points"]] == pytest.approx([1e-3, 1e-3])


@pytest.mark.parametrize(
    ("table", "bases", "note"),
    [
        ("", '"sto-3g", "6-31g"', None),
        ('[analysis]\nkinds = ["basis_limit"]\n', '"sto-3g", "6-31g"', "6-31g is in no limit: basis '6-31g'"),
        ('[analysis]\nkinds = ["basis_limit"]\n', '"cc-pvdz", "aug-cc-pvdz"', "no basis-set limit: no two"),
        ("", '"cc-pv6z", "cc-pvdz"', "no limit of cc-pVXZ: cc-pv6z (missing)"),
        ('[analysis]\nenergy = "vmc"\n', '"cc-pvdz", "cc-pvtz"', "cc-pvtz (no vmc energy, or none of HF)"),
        ('[analysis]\nkinds = ["curve"]\n', '"cc-pvdz", "cc-pvtz"', "no curve: the manifest scans no"),
        ('[analysis]\nkinds = ["scaling"]\n', '"sto-3g", "6-31g"', "no scaling: no point is done"),
        ("[analysis]\nkinds = []\n", '"cc-pvdz", "cc-pvtz"', None),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_a_note(finished, undrawn, table, bases, note):
    plan, content = finished(f"{HEAD}[grid]\nbasis = [{bases}]\n{table}", helium)
    notes = content["analysis"]["notes"]
    assert content["limits"] is None
    assert bool(notes) == (note is not None)
    assert note is None or any(note in line for line in notes)
    assert all(f"* {line}" in text_of(plan) and "\n" not in line for line in notes)
    assert len(content["points"]) == 2


def test_a_fault_of_an_analysis_leaves_the_tables(finished, monkeypatch):
    monkeypatch.setattr("nnbf.sweep.findings.basis_limit", lambda *points, **rest: 1 / 0)
    plan, content = finished(HEAD + '[grid]\nbasis = ["cc-pvdz", "cc-pvtz"]\n', helium)
    assert content["analysis"]["notes"] == ["no basis limit: ZeroDivisionError: division by zero"]
    monkeypatch.undo()
    monkeypatch.setattr("nnbf.sweep.findings.png", lambda figure: 1 / 0)
    write_tables(plan)
    content = json.loads((plan.folder.path / "sweep.json").read_text())
    assert content["limits"]["energy"] < -2.9
    assert content["analysis"]["notes"] == ["no limit.png: ZeroDivisionError: division by zero"]


def morse(r):
    return -109.0 + 0.36 * (1 - np.exp(-2.7 * (r - 1.1))) ** 2


def test_curve_of_a_diatomic(finished):
    def result(point):
        energy = float(morse(point.coordinates["r"] * 0.529177210903))
        return {
            "energy": energy + 1e-5 * point.place,
            "references": {"hf": energy + 0.3, "ccsd_t": None, "fci": energy},
            "s_squared": 1e-3 * point.place,
            "observables": {"dipole_debye": {"norm": 0.5}},
        }

    plan, content = finished(
        '[base]\nunit = "bohr"\n[scan]\ntemplate = "N 0 0 -{r}; N 0 0 0"\n'
        "r = { start = 1.7, stop = 2.8, count = 12 }\n",
        result,
    )
    (curve,) = content["analysis"]["curves"]
    r = 0.529177210903 * np.linspace(1.7, 2.8, 12)
    expected = diatomic_constants(r, morse(r), ("N", "N"))
    assert curve["atoms"] == ["N", "N"]
    assert [row["x"] for row in curve["points"]] == pytest.approx(list(r), abs=1e-9)
    assert set(curve["constants"]) == {"energy", "hf", "fci"}
    for method in ("hf", "fci"):
        assert curve["constants"][method]["r_e"] == pytest.approx(expected.r_e, abs=1e-6)
        assert curve["constants"][method]["omega_e"] == pytest.approx(expected.omega_e, abs=0.1)
    # Energies that rise by 1e-5 every 0.0529 angstrom move the minimum by slope over curvature.
    shift = 1e-5 / (0.1 * 0.529177210903) / (2 * 0.36 * 2.7**2)
    assert expected.r_e - curve["constants"]["energy"]["r_e"] == pytest.approx(shift, rel=0.05)
    assert curve["to_fci"]["error"] == pytest.approx(11e-5, abs=1e-9)
    assert curve["points"][3]["dipole_debye"] == 0.5
    assert "non-parallelity 0.1100 mHa" in text_of(plan)
    assert "<S²> from 0.0000 to 0.0110" in text_of(plan)
    assert (plan.folder.path / "curve.png").read_bytes().startswith(PNG)


def test_curves_without_constants(finished, undrawn):
    def result(point):
        return None if point.place == 0 else {"energy": -1.0 - 0.1 * point.place, "references": {}}

    text = '[grid]\nseed = [0]\n[scan]\ntemplate = "{shape}"\na = [1.0, 1.1, 1.2]\n'
    _, content = finished(text.format(shape="H4-ring-{a}"), result)
    (curve,) = content["analysis"]["curves"]
    assert (curve["x_label"], curve["constants"], curve["to_fci"]) == ("a", {}, None)
    assert [row["x"] for row in curve["points"]] == [1.1, 1.2]
    assert curve["notes"] == ["made without seed0_a1.0"]


def test_growth_with_size(finished, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "nnbf.report.sweep_figures.draw_scaling", lambda rows, keys, **rest: drawn.append((rows, keys, rest))
    )
    monkeypatch.setattr("nnbf.sweep.findings.png", lambda figure: PNG)

    def size(point):
        return int(point.options["molecule"].partition("-")[0][1:])

    def result(point):
        n = size(point)
        return {
            "energy": -1.0 + 1e-4 * n**1.5, "references": {"fci": -1.0}, "n_determinants": n**3,
            "n_connected": n**5, "system": {"n_orbitals": n}, "wall_time_s": 9.0, "memory_mb": 2.0 * n,
        }  # fmt: skip

    def history(point):
        n = size(point)
        seconds = np.cumsum([5.0, 7.0, *[1e-3 * n**2] * 4, 11.0])
        spaces = [1, n, n, n, n, n, n]
        return [
            {"step": k, "time_s": t, "energy": -1.0 + 1e-2 / 4**k, "n_space": s}
            for k, (t, s) in enumerate(zip(seconds, spaces, strict=True))
        ]

    plan, content = finished(
        '[grid]\nmolecule = ["H4-chain-1", "H6-chain-1", "H8-chain-1", "H6-ring-1", "H8-ring-1"]\n'
        '[analysis]\nkinds = ["scaling"]\nagainst = ["n_spin_orbitals", "n_connected"]\n'
        'series = { chain = "*chain*", ring = "*ring*" }\n',
        result,
        history,
    )
    by_size, by_connected = content["analysis"]["scaling"]
    laws = by_size["series"]["chain"]["laws"]
    powers = {name: law["exponent"] for name, law in laws.items()}
    assert powers == pytest.approx(
        {"error_mha": 1.5, "time_per_step_s": 2, "time_to_accuracy_s": 0.0, "n_determinants": 3,
         "n_connected": 5, "memory_mb": 1}, abs=1e-2,
    )  # fmt: skip
    assert by_connected["series"]["chain"]["laws"]["n_determinants"]["exponent"] == pytest.approx(0.6)
    assert "n_connected" not in by_connected["quantities"]
    assert by_size["series"]["ring"]["missing"]["memory_mb"].startswith("2 different sizes")
    timing = content["timings"]["H8-chain-1"]
    assert timing["time_per_step_s"] == pytest.approx(0.064)
    assert timing["time_to_accuracy_s"] == pytest.approx(12.064)
    assert timing["memory_mb"] == 16.0
    # What depends on the machine is not in the table of the points.
    assert (plan.folder.path / "sweep.csv").read_text().splitlines()[0] == ",".join(
        ["molecule", *RESULT_COLUMNS]
    )
    assert "| H8-chain-1 | chain | 16 |" in text_of(plan)
    for name in ("n_spin_orbitals", "n_connected"):
        assert (plan.folder.path / f"scaling_{name}.png").exists()
    assert [rest["against"] for _, _, rest in drawn] == ["n_spin_orbitals", "n_connected"]
    assert drawn[0][1] == by_size["quantities"]
    assert {row[drawn[0][2]["group"]] for row in drawn[0][0]} == {"chain", "ring"}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('kind = ["curve"]', "unknown key 'kind': did you mean 'kinds'?"),
        ('kinds = ["limits"]', "analysis.kinds: unknown key 'limits'"),
        ('kinds = "curve"', "wrong type: give a list"),
        ('energy = "ccsd"', "is no kind of energy: give one of energy, selected_ci"),
        ('exact = "-1"', "is no energy: give a number"),
        ("accuracy-milli = 0", "give a positive number"),
        ('against = ["size"]', "unknown key 'size'"),
        ("against = []", "is empty"),
        ('quantities = ["time-per-steps"]', "did you mean 'time-per-step-s'"),
        ("series = 3", "the name of a coordinate, or patterns"),
    ],
)
def test_nonsense_is_refused(planned, table, message):
    with pytest.raises(InputError, match=message.replace("?", r"\?")) as caught:
        planned(HEAD + f'[grid]\nbasis = ["cc-pvdz"]\n[analysis]\n{table}\n')
    assert "\n" not in str(caught.value)


def test_limits_of_lattices_are_refused(planned):
    with pytest.raises(InputError, match="lattice has no basis sets"):
        planned(
            '[sweep]\ncommand = "lattice"\n[base]\nmodel = "tv"\n[scan]\ninteraction = [1]\n'
            '[analysis]\nkinds = ["basis_limit"]\n'
        )


def test_the_command_shows_what_was_found(finished, tmp_path, capsys):
    plan, content = finished(HEAD + '[grid]\nbasis = ["cc-pvdz", "cc-pvtz"]\n', helium)
    out = plan.folder.path
    for file in (out / "limit.png", out / "sweep.md", out / "sweep.json"):
        file.unlink()
    # All points are done: the program is not started.
    assert sweep([str(plan.manifest.path), "--out", str(out)], (sys.executable, "-c", "1/0")) == 0
    shown = capsys.readouterr().out
    heads = shown.partition("\nBasis-set limits:\n")[2].splitlines()[0]
    assert heads.split()[:5] == ["sets", "limit", "(Ha)", "HF", "correlation"]
    assert value_with_error(content["limits"]["energy"], content["limits"]["error"]) in shown
    assert f"pictures  {out / 'limit.png'}" in shown
    assert "![" not in shown
    assert (out / "limit.png").exists()

"""The command `nnbf charge`: what adding and removing a particle costs, and the weights of the levels."""

import shlex
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge

from hamiltonians import named_momenta
from hamiltonians.errors import InputError, one_line
from nnbf._options import Checked
from nnbf.cli.console import say_error
from nnbf.cli.main import DONE, FAILED
from nnbf.cli.options import parse_command
from nnbf.cli.spectrum import SpectrumOutput, begun_folder, table_console
from nnbf.drivers.lattice_options import LatticeOptions
from nnbf.runs.lattice_problem import LatticeProblem

if TYPE_CHECKING:
    from hamiltonians import Lattice
    from nnbf.runs import RunDirectory

_EXAMPLES = (
    'nnbf charge tv --size 4x4 --particles 5 --interaction 1 --momenta "0,0 1,0"',
    "nnbf charge hubbard --size 4x2 --particles 4,4 --interaction 4 --boundary apbc,pbc",
)


@dataclass(frozen=True)
class ChargeChoice(Checked):
    """Which particle is added and removed."""

    momenta: str = ""
    """Momenta k of the particle in units of 2 pi / L, such as "0,0 1,0", or G, X, M, path; left out: all."""
    electron: Literal["up", "down"] = "up"
    """Its spin (hubbard)."""
    levels: Annotated[int, Ge(1)] = 1
    """Levels of each sector that carries weight."""
    exact: bool = True
    """Diagonalise beside, where that is affordable."""


@dataclass(frozen=True)
class ChargeCommand:
    """Find chemical potentials, the charge gap and quasiparticle weights of a lattice model.

    States of N, N - 1 and N + 1 particles are optimised by full sums; Z_k = |<N-1|c_k|N>|^2 is an exact sum
    over both. Energies are in units of t.
    """

    problem: LatticeProblem
    """What to solve; N is its number of particles."""
    choice: ChargeChoice = field(default_factory=ChargeChoice)
    """Which excitations."""
    solver: LatticeOptions = field(default_factory=LatticeOptions)
    """Network, orbitals, optimiser."""
    output: SpectrumOutput = field(default_factory=SpectrumOutput)
    """Files and what is printed."""


def charge(arguments: Sequence[str]) -> int:
    """Run `nnbf charge` and return its exit code."""
    command = parse_command(ChargeCommand, arguments, prog="nnbf charge", examples=_EXAMPLES)
    from hamiltonians import space_group
    from nnbf.drivers.charge import charge_excitations
    from nnbf.observables.charge import fillings, particle_momenta
    from nnbf.observables.quasiparticle import one_particle
    from nnbf.runs.spectrum import lattice_config

    model = command.problem.build()
    spin = {"up": 0, "down": 1}[command.choice.electron]
    others = fillings(model, spin)
    words = named_momenta(model, command.choice.momenta.split())
    group = space_group(one_particle(model))
    momenta = particle_momenta(model, [group.sector(word).momentum for word in words] or None)
    if command.output.dry_run:
        for filling in (model, *others.values()):
            print(f"{filling}: {filling.n_configurations:,} configurations")
        return DONE
    command_line = shlex.join(["nnbf", "charge", *arguments])
    config = {
        **lattice_config(command.problem, command.solver, command_line, "charge"),
        "choice": asdict(command.choice),
    }
    directory = begun_folder(command.output.out, command.problem, config)
    try:
        with directory.history() as history:
            found = charge_excitations(
                model,
                command.solver,
                momenta=momenta,
                spin=spin,
                levels=command.choice.levels,
                on_level=lambda level: _show_level(history, level, quiet=command.output.quiet),
            )
    except InputError:
        directory.discard()
        raise
    except Exception as error:
        directory.write_failure(traceback.format_exc())
        say_error(f"the run failed: {one_line(error)}; another --seed or a smaller network may help")
        return FAILED
    exact = _exact(model, momenta, spin) if command.choice.exact else None
    result = {**found.record(), "command": "charge", "exact": exact, "versions": config["versions"]}
    directory.write_result(result)
    conclude(directory, result)
    return DONE


def report_charge(folder: str, *, quiet: bool) -> int:
    """Draw a finished run again and print its table; return the exit code."""
    from nnbf.runs import RunDirectory

    directory = RunDirectory.open(folder)
    result = directory.read_result()
    if quiet:
        write_plot(directory, result)
    else:
        conclude(directory, result)
    return DONE


def conclude(directory: "RunDirectory", result: Mapping[str, Any]) -> None:
    """Draw the picture and print table and gap."""
    console = table_console()
    console.print(charge_table(result))
    exact = result["exact"] or {}
    lines = [
        f"{text:<11} {result[name]:.8f} t" + (f"  (exact {exact[name]:.8f})" if exact else "")
        for name, text in (("mu_minus", "mu-"), ("mu_plus", "mu+"), ("charge_gap", "gap"))
        if result[name] is not None
    ]
    where = f"({result['sector']['momentum'][0]},{result['sector']['momentum'][1]})"
    lines.insert(0, f"E(N)        {result['energy']:.8f} t in {where} (kind {result['energy_kind']})")
    lines += [f"plot        {write_plot(directory, result)}", f"run folder  {directory.path}/"]
    console.print("\n".join(lines), markup=False)


def charge_table(result: Mapping[str, Any]) -> Any:
    """The excitations as a rich table; exact weights are those of the exact levels of the same energy."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("k", "", "level of"):
        table.add_column(name)
    for name in ("ω (t)", "weight", "exact, of that ω", "n_k"):
        table.add_column(name, justify="right")
    occupations = {tuple(row["momentum"]): row["occupation"] for row in result["momenta"]}
    for found in result["excitations"]:
        momentum, target = tuple(found["momentum"]), found["target"]
        exact = _exact_weight(found, result["exact"])
        note = "" if found["allowed"] else " (forbidden)"
        table.add_row(
            f"({momentum[0]},{momentum[1]})",
            "removal" if found["change"] < 0 else "addition",
            f"({target[0]},{target[1]}) {found['irrep'] or ''}{note}",
            f"{found['omega']:.6f}",
            f"{found['weight']:.6f}",
            "" if exact is None else f"{exact:.6f}",
            f"{occupations[momentum]:.6f}",
        )
    return table


def write_plot(directory: "RunDirectory", result: Mapping[str, Any]) -> Path:
    """Draw A(k, omega) and return the file."""
    from nnbf.report.spectral import draw_spectral

    path = directory.report_folder / "spectral_function.png"
    path.parent.mkdir(exist_ok=True)
    draw_spectral(result, result["exact"]).savefig(path)
    return path


#: Levels closer than this (t), relative to their size, are the same in the table.
_SAME = 1e-3


def _exact_weight(found: Mapping[str, Any], exact: Mapping[str, Any] | None) -> float | None:
    if exact is None:
        return None
    near = [
        e["weight"]
        for e in exact["excitations"]
        if e["momentum"] == found["momentum"]
        and e["change"] == found["change"]
        and abs(e["omega"] - found["omega"]) < _SAME * max(1.0, abs(e["omega"]))
    ]
    if not near:
        return None
    return sum(near) if found["allowed"] else 0.0


def _exact(model: "Lattice", momenta: Any, spin: int) -> dict[str, Any] | None:
    from nnbf.observables.exact_charge import exact_charge_excitations

    try:
        return exact_charge_excitations(model, momenta=momenta, spin=spin).record()
    except InputError:
        return None


def _show_level(history: Any, level: Any, *, quiet: bool) -> None:
    sector = level.sector
    history.append(
        {
            "step": history.count,
            "particles": list(level.model.particles),
            "sector": sector.label,
            "level": level.level,
            "energy": level.energy,
            "energy_kind": "full_sum",
            "variance": level.variance,
            "status": level.status,
        }
    )
    if not quiet:
        particles = ",".join(map(str, level.model.particles))
        print(f"N = {particles}  {sector.label}  E {level.energy:.8f}", flush=True)

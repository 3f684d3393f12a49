"""What `--dry-run` shows: the resolved options, the size of the problem, what would be computed."""

import math
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnbf.cli._progress import describe_system

if TYPE_CHECKING:
    from hamiltonians import MolecularIntegrals, Molecule, Truncation
    from nnbf.cli._commands import SolveFile, SolveMolecule
    from nnbf.drivers.options import SolverOptions


def print_plan(command: "SolveMolecule | SolveFile", system: "Molecule") -> None:
    """Print the plan of a run; nothing is computed beyond Hartree-Fock, nothing is written.

    Args:
        command: All options.
        system: The system, built without references.
    """
    for head, lines in plan(command, system).items():
        print(f"{head}:")
        for line in lines:
            print(f"  {line}")
    print("dry run: nothing was written")


def plan(command: "SolveMolecule | SolveFile", system: "Molecule") -> dict[str, list[str]]:
    """Return the lines of a plan by heading."""
    from nnbf.runs.directory import default_folder

    out = command.run.out
    folder = default_folder(system.info) if out is None else Path(out).expanduser()
    return {
        "system": _system_lines(system),
        "references": _reference_lines(command, system),
        "problem options": _option_lines(command.problem),
        f"solver options (method {command.run.method})": _option_lines(command.solver),
        "memory, roughly, with the largest V": _memory_lines(system.integrals, command.solver),
        "run folder": [f"{folder} (not made)"],
    }


def _system_lines(system: "Molecule") -> list[str]:
    info = system.info
    lines = [describe_system(system)]
    if info.n_frozen_core:
        lines.append(f"{info.n_frozen_core} orbitals frozen")
    if info.active_space is not None:
        electrons, orbitals = info.active_space
        lines.append(f"active space: {electrons} electrons in {orbitals} orbitals")
    if info.ecp:
        lines.append("effective core potentials: " + ", ".join(f"{a} {name}" for a, name in info.ecp))
    lines.append(f"orbitals: {info.orbitals} ({info.reference_method})")
    if system.truncation is not None:
        lines += _truncation_lines(system.truncation)
    return lines


def _truncation_lines(truncation: "Truncation") -> list[str]:
    kept, dropped = truncation.n_kept, truncation.n_dropped
    at = ", ".join(f"{truncation.kept_at(10.0**-power)} at 1e-{power}" for power in range(2, 7))
    return [
        f"virtual natural orbitals: {kept} kept, {dropped} dropped of {truncation.n_virtual} ({at})",
        f"MP2 correction for the dropped ones: {1e3 * truncation.correction:+.4f} mHa",
    ]


def _reference_lines(command: "SolveMolecule | SolveFile", system: "Molecule") -> list[str]:
    from hamiltonians.molecule.fci import fci_dimension

    known = {name: energy for name, energy in system.references.items() if energy is not None}
    lines = [f"{name}: {energy:.8f} Hartree" for name, energy in known.items()]
    if not command.problem.references:
        return [*lines, "no others (--no-references)"]
    if set(known) - {"hf"}:
        return [*lines, "no others: a saved system keeps its own"]
    dimension, limit = fci_dimension(system.integrals), command.problem.fci_limit
    fits = "within" if dimension <= limit else "no: above"
    return [
        *lines,
        "mp2, ccsd, ccsd_t: where affordable",
        f"fci: {fits} --fci-limit ({dimension:,} determinants, limit {limit:,})",
    ]


def _option_lines(options: Any) -> list[str]:
    defaults = {field.name: field.default for field in fields(options)}
    lines = []
    for name, value in asdict(options).items():
        changed = "" if value == defaults[name] else "   (given)"
        lines.append(f"{name.replace('_', '-')} = {_shown(value)}{changed}")
    return lines


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _memory_lines(integrals: "MolecularIntegrals", options: "SolverOptions") -> list[str]:
    """Estimate the large arrays from above, from the largest variational space that can arise."""
    size, n_alpha, n_beta = integrals.n_orbitals, integrals.n_alpha, integrals.n_beta
    dimension = math.comb(size, n_alpha) * math.comb(size, n_beta)
    space = min(options.max_space, dimension)
    neighbours = _neighbours(size, n_alpha, n_beta)
    connected = min(space * neighbours, dimension)
    determinant = 16 * math.ceil(size / 64)
    dense = min(space, options.dense_limit)
    parts = {
        "integrals": integrals.two_body.nbytes + integrals.one_body.nbytes,
        f"Hamiltonian on V (|V| up to {space:,})": 12 * space * min(neighbours, space),
        f"connected space (|C| up to {connected:,})": connected * (determinant + 32),
        "linear systems": 3 * 8 * dense**2,
        "network on V": 2 * 8 * space * (sum(options.hidden) + 4 * size * options.n_determinants),
    }
    total = sum(parts.values())
    return [
        *(f"{name}: {_bytes(number)}" for name, number in parts.items()),
        f"together: at most about {_bytes(total)}",
    ]


def _neighbours(size: int, n_alpha: int, n_beta: int) -> int:
    """Return how many determinants single and double excitations reach from one."""
    count = 0
    for n in (n_alpha, n_beta):
        count += n * (size - n) + math.comb(n, 2) * math.comb(size - n, 2)
    return count + n_alpha * (size - n_alpha) * n_beta * (size - n_beta)


def _bytes(number: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{max(number, 1000) / 1e3:.0f} kB"

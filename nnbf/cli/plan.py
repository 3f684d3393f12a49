"""The dry run of a molecule: options, sizes and memory, from Hartree-Fock alone."""

import math
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnbf._text import value_with_error
from nnbf.drivers.options import SolverOptions

if TYPE_CHECKING:
    from hamiltonians import Molecule
    from nnbf.cli.commands import SolveFile, SolveMolecule


def molecular_plan(command: "SolveMolecule | SolveFile", system: "Molecule") -> list[str]:
    """Return the lines of a plan; nothing is computed beyond Hartree-Fock.

    Args:
        command: All options.
        system: The system, built without references.
    """
    from nnbf.runs import default_folder
    from nnbf.runs.job import folder_words

    folder = command.run.out or default_folder(folder_words(system.info))
    parts = {
        "system": _system_lines(system),
        "references": _reference_lines(command, system),
        "problem options": _option_lines(command.problem),
        f"solver options (method {command.run.method})": _option_lines(command.solver),
        "memory, roughly, with the largest V": _memory_lines(system.integrals, command.solver),
        "run folder": [f"{Path(folder).expanduser()} (not made)"],
    }
    return [line for head, lines in parts.items() for line in (f"{head}:", *(f"  {text}" for text in lines))]


def _system_lines(system: "Molecule") -> list[str]:
    info, truncation = system.info, system.truncation
    lines = [f"{info.n_frozen_core} orbitals frozen"] if info.n_frozen_core else []
    if info.active_space is not None:
        electrons, orbitals = info.active_space
        lines.append(f"active space: {electrons} electrons in {orbitals} orbitals")
    if info.ecp:
        lines.append("effective core potentials: " + ", ".join(f"{a} {name}" for a, name in info.ecp))
    lines.append(f"orbitals: {info.orbitals} ({info.reference_method})")
    if truncation is None:
        return lines
    at = ", ".join(f"{truncation.kept_at(10.0**-power)} at 1e-{power}" for power in range(2, 7))
    kept, dropped = truncation.n_kept, truncation.n_dropped
    return [
        *lines,
        f"virtual natural orbitals: {kept} kept, {dropped} dropped of {truncation.n_virtual} ({at})",
        f"MP2 correction for the dropped ones: {1e3 * truncation.correction:+.4f} mHa",
    ]


def _reference_lines(command: "SolveMolecule | SolveFile", system: "Molecule") -> list[str]:
    from hamiltonians.molecule.fci import fci_dimension

    known = {name: energy for name, energy in system.references.items() if energy is not None}
    lines = [f"{name}: {value_with_error(energy, None)} Hartree" for name, energy in known.items()]
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
    lines = []
    for item in fields(options):
        value = getattr(options, item.name)
        shown = "-" if value is None else str(value)
        if isinstance(value, tuple):
            shown = ",".join(map(str, value))
        given = "" if value == item.default else "   (given)"
        lines.append(f"{item.name.replace('_', '-')} = {shown}{given}")
    return lines


def _memory_lines(integrals: Any, options: SolverOptions) -> list[str]:
    """Estimate the large arrays from above, from the largest variational space that can arise."""
    size, n_alpha, n_beta = integrals.n_orbitals, integrals.n_alpha, integrals.n_beta
    dimension = math.comb(size, n_alpha) * math.comb(size, n_beta)
    space = min(options.max_space, dimension)
    neighbours = n_alpha * (size - n_alpha) * n_beta * (size - n_beta)
    for n in (n_alpha, n_beta):
        neighbours += n * (size - n) + math.comb(n, 2) * math.comb(size - n, 2)
    connected = min(space * neighbours, dimension)
    parts = {
        "integrals": integrals.two_body.nbytes + integrals.one_body.nbytes,
        f"Hamiltonian on V (|V| up to {space:,})": 12 * space * min(neighbours, space),
        f"connected space (|C| up to {connected:,})": connected * (16 * math.ceil(size / 64) + 32),
        "linear systems": 3 * 8 * min(space, options.dense_limit) ** 2,
        "network on V": 2 * 8 * space * (sum(options.hidden) + 4 * size * options.n_determinants),
    }
    lines = [f"{name}: {_bytes(number)}" for name, number in parts.items()]
    return [*lines, f"together: at most about {_bytes(sum(parts.values()))}"]


def _bytes(number: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{max(number, 1000) / 1e3:.0f} kB"

"""The command `nnbf lattice`: the lowest state of a lattice model in one symmetry sector."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from nnbf.cli.options import parse_command
from nnbf.cli.spectrum import SpectrumOutput, started_spectrum
from nnbf.drivers.lattice_options import LatticeOptions
from nnbf.runs.lattice_problem import LatticeProblem, OneSector
from nnbf.runs.spectrum import LatticeLimits

_EXAMPLES = (
    "nnbf lattice tv --size 6x6 --particles 13 --interaction 1 --time-limit 1800",
    "nnbf lattice hubbard --size 4x4 --particles 5,5 --interaction 4 --method vmc",
    "nnbf lattice tv --size 4x4 --particles 8 --interaction 4 --momentum 2,2 --irrep A1",
)


@dataclass(frozen=True)
class LatticeCommand:
    """Find the lowest state of a lattice model in one symmetry sector, by symmetry-aware backflow.

    Energies are in units of t. 'nnbf spectrum' searches all sectors.
    """

    problem: LatticeProblem
    """What to solve."""
    sector: OneSector = field(default_factory=OneSector)
    """Where."""
    solver: LatticeOptions = field(default_factory=LatticeOptions)
    """Method, network, orbitals, optimiser."""
    limits: LatticeLimits = field(default_factory=LatticeLimits)
    """Limits."""
    output: SpectrumOutput = field(default_factory=SpectrumOutput)
    """Files and what is printed."""


def lattice(arguments: Sequence[str]) -> int:
    """Run `nnbf lattice` and return its exit code."""
    command = parse_command(LatticeCommand, arguments, prog="nnbf lattice", examples=_EXAMPLES)
    choice = command.sector.choice(command.problem.build())
    return started_spectrum(command, choice, shlex.join(["nnbf", "lattice", *arguments]))

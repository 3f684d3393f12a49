from .calculation import solve, spectrum
from .charge_levels import charge_excitations
from .growth import Growth
from .lattice_ansatz import make_lattice_ansatz
from .level import Level, Outcome
from .methods import Task, make_options, register_problem
from .monitor import Monitor, OnCheckpoint, OnRow, Snapshot, StoppedError
from .monte_carlo import MonteCarloDriver
from .operator_levels import FullSumDriver
from .options import GeneralOptions, LatticeOptions, SolverOptions
from .selected import SelectedSpaceDriver
from .selected_space import make_model, make_optimizer
from .supervision import DivergenceError, Ending, ResumableDriver, Stopwatch, supervise

__all__ = [
    "DivergenceError",
    "Ending",
    "FullSumDriver",
    "GeneralOptions",
    "Growth",
    "LatticeOptions",
    "Level",
    "Monitor",
    "MonteCarloDriver",
    "OnCheckpoint",
    "OnRow",
    "Outcome",
    "ResumableDriver",
    "SelectedSpaceDriver",
    "Snapshot",
    "SolverOptions",
    "StoppedError",
    "Stopwatch",
    "Task",
    "charge_excitations",
    "make_lattice_ansatz",
    "make_model",
    "make_optimizer",
    "make_options",
    "register_problem",
    "solve",
    "spectrum",
    "supervise",
]

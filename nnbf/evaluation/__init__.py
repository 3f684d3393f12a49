"""The energy of a trained state by sampling: large determinants summed exactly, the rest drawn.

Names are loaded on first use: options can be read, and refused, without waiting for NetKet.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnbf.evaluation.chains import ChainSource
    from nnbf.evaluation.controlled import SampleMean, coefficients, sample_mean
    from nnbf.evaluation.draws import Draw, SampleSource
    from nnbf.evaluation.evaluate import Evaluation, sample_energy
    from nnbf.evaluation.extrapolation import Extrapolation, Point, extrapolate, settled_points
    from nnbf.evaluation.lattice import LatticeEvaluation, evaluate_lattice_state
    from nnbf.evaluation.options import EvaluationOptions, LatticeEvaluationOptions
    from nnbf.evaluation.sector import SectorSource
    from nnbf.evaluation.sources import chain_source, make_source, sector_source
    from nnbf.evaluation.split import AmplitudeTable

_LAZY = {
    "AmplitudeTable": "split",
    "ChainSource": "chains",
    "Draw": "draws",
    "Evaluation": "evaluate",
    "EvaluationOptions": "options",
    "Extrapolation": "extrapolation",
    "LatticeEvaluation": "lattice",
    "LatticeEvaluationOptions": "options",
    "Point": "extrapolation",
    "SampleMean": "controlled",
    "SampleSource": "draws",
    "SectorSource": "sector",
    "chain_source": "sources",
    "coefficients": "controlled",
    "evaluate_lattice_state": "lattice",
    "extrapolate": "extrapolation",
    "make_source": "sources",
    "sample_energy": "evaluate",
    "sample_mean": "controlled",
    "sector_source": "sources",
    "settled_points": "extrapolation",
}

__all__ = [
    "AmplitudeTable",
    "ChainSource",
    "Draw",
    "Evaluation",
    "EvaluationOptions",
    "Extrapolation",
    "LatticeEvaluation",
    "LatticeEvaluationOptions",
    "Point",
    "SampleMean",
    "SampleSource",
    "SectorSource",
    "chain_source",
    "coefficients",
    "evaluate_lattice_state",
    "extrapolate",
    "make_source",
    "sample_energy",
    "sample_mean",
    "sector_source",
    "settled_points",
]


def __getattr__(name: str) -> Any:
    """Load a public name."""
    if name in _LAZY:
        return getattr(import_module(f"nnbf.evaluation.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'nnbf.evaluation' has no attribute {name!r}")

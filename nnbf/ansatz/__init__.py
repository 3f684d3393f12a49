"""Wave functions as Flax modules."""

from nnbf._precision import enable_double_precision
from nnbf.ansatz.backflow import NeuralBackflow

__all__ = ["NeuralBackflow"]

# Parameters are doubles by default, whichever name of the package is imported first.
enable_double_precision()

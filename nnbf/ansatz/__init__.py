"""Wave functions as Flax modules."""

from nnbf.ansatz.backflow import NeuralBackflow

__all__ = ["NeuralBackflow"]

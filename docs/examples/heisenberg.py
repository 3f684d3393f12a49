"""Heisenberg spins on a rectangle: nnbf --plugin heisenberg.py solve heisenberg --size 4,4."""

from dataclasses import dataclass

import netket as nk
import numpy as np

from nnbf import Connections, DataProblem, Hamiltonian, register_problem


@register_problem("heisenberg")
@dataclass(frozen=True)
class Heisenberg(DataProblem):
    """Spins 1/2 on a rectangle: J sum_<ij> (S^x S^x + S^y S^y + delta S^z S^z), at S_z = 0."""

    size: tuple[int, ...] = (4, 4)
    """Sites along both axes, even; the boundaries are periodic."""
    delta: float = 1.0
    """Anisotropy."""
    unit = "J"

    def hamiltonian(self):
        return SpinExchange(nk.graph.Grid(self.size), self.delta)


class SpinExchange(Hamiltonian):
    def __init__(self, graph, delta):
        super().__init__(nk.hilbert.Spin(0.5, graph.n_nodes, total_sz=0))
        self.graph, self.delta = graph, delta
        self.i, self.j = np.array(graph.edges()).T

    def diagonal(self, rows):
        return 0.25 * self.delta * np.sum(rows[:, self.i] * rows[:, self.j], axis=1, dtype=float)

    def connections(self, rows, *, threshold=0.0):
        row, bond = np.nonzero(rows[:, self.i] != rows[:, self.j])
        flipped, place = rows[row], np.arange(len(row))
        flipped[place, self.i[bond]] *= -1
        flipped[place, self.j[bond]] *= -1
        # -1/2 and not 1/2: spins of one sublattice are turned about z (Marshall), and psi is positive.
        return Connections.merged(rows, self.diagonal(rows), row, flipped, np.full(len(row), -0.5))

    def rule(self):
        return nk.sampler.rules.ExchangeRule(graph=self.graph)

"""A partly trained wave function of H2O/6-31G, and samples of it that both sides are given.

They are kept in a file, so that a ratio of today means the same as one of last month:

    python benchmarks/_water.py        # trains and draws again
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _netket as theirs
import jax
import numpy as np
from jax.flatten_util import ravel_pytree

import nnbf
from hamiltonians import build_molecule
from nnbf.determinants import unpack_occupations
from nnbf.drivers import Growth, SelectedSpaceDriver

FILE = Path(__file__).resolve().parent / "data" / "h2o_6-31g_samples.npz"


@dataclass
class Setting:
    """A wave function and its samples, for both sides."""

    system: Any
    """Integrals."""
    hamiltonian: Any
    """nnbf's operator."""
    state: Any
    """nnbf's state, whose parameters both sides use."""
    drawn: np.ndarray
    """(1024, 2M) occupations drawn from |psi|^2 by NetKet's Metropolis sampler."""
    distinct: np.ndarray
    """(1024, 2M) occupations, all different: drawn from |psi|^2 on V without replacement."""

    @functools.cached_property
    def operator(self) -> Any:
        """NetKet's operator, built when it is first wanted."""
        return theirs.operator_from_integrals(self.system)

    def netket_state(self, samples: np.ndarray, chunk: int) -> Any:
        """NetKet's state with the same parameters and given samples."""
        return theirs.state_at(
            self.hamiltonian.hilbert, self.state.model, self.state.variables, samples, chunk
        )


def water(spin_flip: str) -> Setting:
    """The wave function and samples of the file.

    Args:
        spin_flip: Symmetry of the model. The file was made without; with it the parameters still make
            a wave function, if not the same one.
    """
    system, state = _untrained(spin_flip)
    with np.load(FILE) as content:
        unravel = ravel_pytree(state.parameters)[1]
        state.parameters = unravel(content["parameters"].astype(float))
        drawn, distinct = (content[name].astype(np.int64) for name in ("drawn", "distinct"))
    print(
        f"H2O/6-31G, {state.n_parameters:,} parameters; {distinct_rows(drawn)} different determinants "
        f"in 1,024 samples, {distinct_rows(drawn[:512])} in the first 512",
        flush=True,
    )
    return Setting(system, state.hamiltonian, state, drawn, distinct)


def distinct_rows(samples: np.ndarray) -> int:
    """Number of different rows."""
    return len(np.unique(samples, axis=0))


def make_file() -> None:
    """Train a little (ten Rayleigh-Gauss-Newton steps, at most 4,096 determinants), then draw."""
    _, state = _untrained("none")
    driver = SelectedSpaceDriver(state, growth=Growth(max_size=4096))
    driver.run(10, out=(), show_progress=False)
    # Single precision halves the file, and is exact in double.
    state.parameters = jax.tree.map(lambda leaf: leaf.astype(np.float32).astype(float), state.parameters)
    drawn = theirs.draw_samples(state.hilbert, state.model, state.variables, 1024, seed=0)
    probability = state.amplitudes() ** 2
    chosen = np.random.default_rng(0).choice(
        len(probability), 1024, replace=False, p=probability / probability.sum()
    )
    distinct = unpack_occupations(state.determinants[chosen], state.hamiltonian.n_orbitals)
    FILE.parent.mkdir(exist_ok=True)
    np.savez_compressed(
        FILE,
        parameters=np.asarray(ravel_pytree(state.parameters)[0], dtype=np.float32),
        drawn=drawn.astype(np.int8),
        distinct=distinct.astype(np.int8),
    )
    energy = state.energy_at(state.variables)
    print(f"{FILE}: energy on V {energy:.6f} Ha, {distinct_rows(drawn)} of 1,024 samples different")


def _untrained(spin_flip: str) -> tuple[Any, Any]:
    system = build_molecule("H2O", "6-31g", references=False)
    model = theirs.plain_model(system, nnbf.SolverOptions(spin_flip=spin_flip))
    return system, nnbf.SpaceState(nnbf.MolecularHamiltonian(system.integrals), model, seed=0)


if __name__ == "__main__":
    make_file()

"""Small runs of every kind, in a process with any number of devices; prints what they found as JSON."""

import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from hamiltonians import Lattice, irrep_bits, load_problem, space_group
from nnbf.ansatz import named_network
from nnbf.determinants.hashing import build_hash_table, find_rows
from nnbf.drivers import LatticeOptions, SolverOptions, solve
from nnbf.drivers.monitor import Monitor
from nnbf.drivers.operator_levels import sampled_state
from nnbf.evaluation import EvaluationOptions, make_source, sample_energy
from nnbf.operators import LatticeHamiltonian
from nnbf.states import Space, SpaceState, sampled_step

N2 = SolverOptions(
    hidden=(8,), n_determinants=1, max_space=60, max_steps=5, tail_steps=1, projected=False, pt2=False, seed=1
)
ENDLESS = replace(N2, max_steps=100_000, energy_tolerance=1e-30, optimizer="sr", tail_steps=0)
SHEET = SolverOptions(
    hidden=(8,), n_samples=192, n_chains=16, max_steps=2, sampler="metropolis", precision=1.0, seed=2,
    sweep_size=4,
)  # fmt: skip
TV = LatticeOptions(max_steps=3, features=4, depth=1)
HUBBARD = LatticeOptions(
    method="vmc", max_steps=2, features=3, depth=1, n_samples=128, sweep_size=4, final_samples=16,
    precision=1.0, warm_up=0, cell=(1, 1),
)  # fmt: skip
TV_MODEL = {"kind": "tv", "size": (4, 4), "particles": 5, "V": 2.0}
HUBBARD_MODEL = {
    "kind": "hubbard",
    "size": (4, 2),
    "particles": (4, 4),
    "U": 4.0,
    "boundary": ("apbc", "pbc"),
}
CHAINS = SimpleNamespace(n_samples=64, sweep_size=4, sampling_power=2.0, seed=1)
EVALUATION = EvaluationOptions(samples=512, sampler="metropolis", chains=16, large=40, observables=False)


def followed(problem, options, **how):
    """Outcome, and its energies as plain numbers: those of all steps, and the last."""
    rows = []
    outcome = solve(problem, options, monitor=Monitor(rows.append), **how)
    return outcome, [row["energy"] for row in rows] + [float(outcome.lowest.energy)]


def resumed(problem, options):
    """The same of a Monte Carlo run that is stopped after its first step, and gone on with from there."""
    rows, saved = [], []
    first = Monitor(rows.append, save=lambda take, must: not saved.append(take()))
    solve(problem, replace(options, max_steps=1), method="vmc", monitor=first)
    last = Monitor(rows.append, resume=saved[-1])
    outcome = solve(problem, options, method="vmc", monitor=last)
    return [row["energy"] for row in rows] + [float(outcome.lowest.energy)]


def all_of_it(folder):
    found = {}
    n2 = load_problem(folder / "n2.npz")
    outcome, found["N2 selected"] = followed(n2, N2, method="selected")
    level = outcome.lowest
    source = make_source(level.state, irrep_bits(n2.integrals), EVALUATION, large=level.determinants)
    evaluation, _ = sample_energy(source, EVALUATION)
    found["evaluate"] = [evaluation.energy.value, evaluation.energy.error, evaluation.acceptance]
    found["sheet vmc"] = resumed(load_problem(folder / "sheet.npz"), SHEET)
    model = Lattice(**TV_MODEL)
    sector = space_group(model).sector((0, 0), "A1")
    _, found["t-V full sum"] = followed(model, TV, sector=sector)
    model = Lattice(**HUBBARD_MODEL)
    outcome, found["Hubbard vmc"] = followed(model, HUBBARD, sector=space_group(model).sector((0, 0), None))
    found["samples"] = np.asarray(outcome.lowest.samples.packed).astype(int).sum(axis=(1, 2)).tolist()
    return found


def by_jax(folder):
    """A run whose connections, energies and passes are programs of JAX, as on accelerators."""
    options = replace(N2, compute="device")
    return {"N2 selected": followed(load_problem(folder / "n2.npz"), options, method="selected")[1]}


def faults():
    """What silent faults of NetKet on several devices (issues 2218, 2229, and others) would change.

    The network is small enough to be summed over all configurations.
    """
    hamiltonian = LatticeHamiltonian(Lattice("tv", (4, 2), 3, V=1.5))
    known = {"n_modes": 8, "particles": (3,), "is_real": True}
    network = named_network("dense", "hidden = [4]", known)
    variables = network.init(jax.random.key(1), jnp.ones((1, 8), jnp.int8))
    state = sampled_state(hamiltonian, network, variables, CHAINS)
    spread = [is_spread(state.samples), is_spread(state.sampler_state.σ)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is put right below
        numpy = state.sampler_state.replace(σ=np.asarray(state.sampler_state.σ))
        spread.append(is_spread(state.sampler.reset(network, variables, numpy).σ))
    whole = SpaceState(hamiltonian, network, Space.whole(hamiltonian), variables=variables)
    packed = hamiltonian.pack(np.asarray(state.samples).reshape(-1, 8))
    place = find_rows(build_hash_table(whole.determinants), whole.determinants, packed)
    local = (whole.matrix @ whole.vector() / whole.vector())[place]
    problem = sampled_step(state, hamiltonian).problem
    gradient = ravel_pytree(problem.backward(2.0 * problem.residual))[0]
    vector = np.cos(np.arange(problem.size))
    found = {"S v": problem.forward(problem.backward(vector)) - problem.kernel() @ vector}
    for chunk in (None, 4):
        state.chunk_size = chunk
        energy, theirs = state.expect_and_grad(hamiltonian)
        found[f"energy {chunk}"] = float(energy.mean.real) - local.mean()
        found[f"gradient {chunk}"] = np.asarray(ravel_pytree(theirs)[0] - gradient)
    return {"not spread": spread.count(False), **{name: float(np.abs(x).max()) for name, x in found.items()}}


def is_spread(array):
    return len(array.sharding.device_set) == jax.device_count() and (
        jax.device_count() == 1 or not array.is_fully_replicated
    )


if __name__ == "__main__":
    if sys.argv[2:] == ["jax"]:
        print(json.dumps(by_jax(Path(sys.argv[1]))))
    else:
        found = all_of_it(Path(sys.argv[1]))
        print(json.dumps({"devices": jax.device_count(), "faults": faults(), **found}))

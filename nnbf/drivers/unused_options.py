"""Options without effect, with a method or beside other options: they are refused where they are given."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import fields
from typing import Any

from hamiltonians.errors import InputError
from nnbf.drivers.options import GeneralOptions, LatticeOptions, SamplingOptions, SolverOptions, SumOptions

_CHAINS = ("proposal", "n_chains", "sweep_size", "n_temperatures", "rounding")


_Rules = Iterator[tuple[Collection[str], str]]
"""Options without effect, and what they are for."""


def require_effect(options: Any, methods: Collection[str]) -> None:
    """Require that every option that was given acts.

    Args:
        options: Options of a kind of problem; those of plug-ins are left alone.
        methods: The methods that are used: one, or those of the sectors of a lattice.

    Raises:
        InputError: One does not; it is named with what it is for.
    """
    rules: dict[type, Callable[[Any, Collection[str]], _Rules]] = {
        SolverOptions: _molecular,
        LatticeOptions: _of_lattices,
        GeneralOptions: _general,
    }
    if type(options) not in rules:
        return
    defaults = {field.name: field.default for field in fields(options)}
    for names, wanted in rules[type(options)](options, methods):
        for name in names:
            if getattr(options, name) != defaults[name]:
                raise InputError(f"{name} has no effect here, it is for {wanted}: leave it out")


def _names(group: type) -> list[str]:
    return [field.name for field in fields(group)]


def _molecular(options: SolverOptions, methods: Collection[str]) -> _Rules:
    sampled = "vmc" in methods
    optimizer = options.optimizer if options.optimizer != "auto" else "sr" if sampled else "rgn"
    if not sampled:
        yield ("sampler", "n_samples", "sampling_power", *_CHAINS), "method vmc"
        if options.tail_steps == 0:
            yield ("precision",), "method vmc, or with tail_steps"
    else:
        yield (
            ("max_space", "accuracy", "energy_tolerance", "truncated", "tail_steps"),
            "method selected",
        )
        if options.sampler == "exact":
            yield _CHAINS, "sampler metropolis"
        yield ("states", "irreps", "spins", "charges"), "method selected"
    if options.several:
        names = ("tail_steps", "projected", "precision", "truncated", "total_spin", "spin_penalty")
        yield (*names, "start_orbitals", "equivariant"), "a single state, not for several"
    if optimizer == "rgn":
        yield ("learning_rate",), "the optimizers sr and adam"
    if optimizer != "sr":
        yield ("momentum",), "optimizer sr"
    if optimizer == "adam":
        yield ("damping", "max_step", "dense_limit"), "the optimizers rgn and sr"
    yield from _of_network(options, ("hidden", "n_determinants", "blocked", "spin_flip", "noise"))


def _of_lattices(options: LatticeOptions, methods: Collection[str]) -> _Rules:
    if "vmc" not in methods:
        yield (*_names(SamplingOptions), "learning_rate", "warm_up", "spin_penalty"), "method vmc"
    if "full-sum" not in methods:
        yield _names(SumOptions), "method full-sum"
    if options.method == "vmc":
        yield ("full_sum_limit",), "the methods auto and full-sum"
    if options.network is None and options.backflow == "none" and not options.network_jastrow:
        yield ("features", "depth", "kernel"), "states with backflow or network_jastrow"
    yield from _of_network(
        options,
        (
            *("features", "depth", "kernel", "backflow", "n_determinants", "cell", "orbitals", "total_spin"),
            *("jastrow", "network_jastrow", "noise", "warm_up"),
        ),
    )


def _general(options: GeneralOptions, methods: Collection[str]) -> _Rules:
    if "full-sum" in methods:
        yield (*_names(SamplingOptions), "learning_rate"), "method vmc"
    if "vmc" in methods:
        yield (*_names(SumOptions), "full_sum_limit"), "method full-sum"


def _of_network(options: SolverOptions | LatticeOptions, own: Collection[str]) -> _Rules:
    if options.network is None:
        yield ("network_options",), "a network given by its name"
    else:
        yield own, "neural backflow, not for a network given by its name"

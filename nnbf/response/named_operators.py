r"""Operators by name: what ``nnbf response`` takes.

Lattices, with positions r_i and N_s sites (the normalisation of the structure factors):

.. math:: n_q = N_s^{-1/2} \sum_i e^{i q r_i} n_i, \quad S^z_q = N_s^{-1/2} \sum_i e^{i q r_i}
    \tfrac12 (n_{i\uparrow} - n_{i\downarrow}), \quad S^+_q = N_s^{-1/2} \sum_i e^{i q r_i}
    c^\dagger_{i\uparrow} c_{i\downarrow}, \quad
    j_\alpha = i \sum_{ij\sigma} h_{ij} (r_j - r_i)_\alpha c^\dagger_{i\sigma} c_{j\sigma}

:math:`j = i [H, \sum_i r_i n_i]` with r_j - r_i along the bond, also across the boundary. Molecules: the
components of the dipole operator, and :math:`c_p`, :math:`c^\dagger_p` of all orbitals of an irrep as a
block.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hamiltonians import InputError, Lattice, Molecule, irrep_bits
from hamiltonians.irreps import irrep_name
from hamiltonians.lattice.cluster import GEOMETRIES
from hamiltonians.lattice.sector import Momentum
from nnbf.observables.quasiparticle import one_particle, particle_momentum, plane_wave, with_changed_filling
from nnbf.observables.spectral_function import particle_momenta
from nnbf.operators import Hamiltonian, LatticeHamiltonian, MolecularHamiltonian
from nnbf.response.ladder_terms import LadderTerms
from nnbf.response.spectra import Channel

#: Operators by kind of problem.
OPERATORS = {
    "molecule": ("dipole", "removal", "addition"),
    "lattice": ("density", "spin", "spin-plus", "spin-minus", "current", "removal", "addition"),
}
AXES = "xyz"


def channels(
    problem: Lattice | Molecule, operator: str, momenta: Sequence[Momentum] | None = None
) -> list[Channel]:
    """Return the channels of an operator.

    Args:
        problem: The lattice or molecule.
        operator: One of `OPERATORS`; those of a lattice with a momentum are made for each.
        momenta: Of lattices: whole numbers; by default those along Gamma-X-M-Gamma, or all where there is
            no such way.

    Raises:
        InputError: The problem has no such operator, or the lattice no such momentum.
    """
    kind = "lattice" if isinstance(problem, Lattice) else "molecule"
    if operator not in OPERATORS[kind]:
        raise InputError(f"operator {operator!r} of a {kind}: give one of {', '.join(OPERATORS[kind])}")
    if isinstance(problem, Molecule):
        if momenta is not None:
            raise InputError("momenta are for lattices: leave it out")
        return _dipole(problem) if operator == "dipole" else _of_orbitals(problem, operator)
    if operator.startswith("spin") and not problem.is_spinful:
        raise InputError(f"operator {operator}: this lattice has no spin, give density")
    if operator == "current":
        if momenta is not None:
            raise InputError("the current has momentum 0: leave out momenta")
        return _currents(problem)
    if momenta is None:
        momenta = standard_momenta(problem, vanishing=operator in ("density", "spin"))
    if operator in ("removal", "addition"):
        return _of_plane_waves(problem, operator, momenta)
    return [_wave(problem, operator, particle_momentum(problem, momentum)) for momentum in momenta]


def standard_momenta(model: Lattice, *, vanishing: bool = False) -> tuple[Momentum, ...]:
    """Return the momenta along Gamma-X-M-Gamma of a square lattice of even sides, else all.

    Args:
        model: The lattice.
        vanishing: Whether the operator vanishes at q = 0, which is then left out.
    """
    first, second = model.size
    every = particle_momenta(model, None)
    if model.geometry == "square" and first == second and first % 2 == 0 and all(model.periodic):
        half = first // 2
        path = [(m, 0) for m in range(half)] + [(half, m) for m in range(half)]
        every = tuple(dict.fromkeys(path + [(m, m) for m in range(half, 0, -1)]))
    return tuple(momentum for momentum in every if momentum != (0, 0) or not vanishing)


def transferred(model: Lattice, momentum: Momentum) -> np.ndarray:
    """Return q (2,) of whole numbers, without the shift of a twist; the shortest of those equivalent."""
    reciprocal = 2 * np.pi * np.linalg.inv(np.array(GEOMETRIES[model.geometry].vectors)).T
    turns = np.array(momentum) / np.array(model.size)
    shifts = [np.array([a, b]) for a in (0, -1, 1) for b in (0, -1, 1)]
    lengths = [round(float(np.linalg.norm((turns + shift) @ reciprocal)), 9) for shift in shifts]
    return (turns + shifts[int(np.argmin(lengths))]) @ reciprocal


def _label(momentum: Momentum) -> str:
    return f"({momentum[0]},{momentum[1]})"


def _wave(model, operator, momentum) -> Channel:
    q = transferred(model, momentum)
    phases = np.exp(1j * (model.positions @ q)) / np.sqrt(model.n_sites)
    if np.abs(phases.imag).max() < 1e-12:
        phases = phases.real.copy()
    facts = {"momentum": list(momentum), "wave_vector": q.tolist()}
    size, changed, commutator = model.n_sites, None, None
    if operator in ("density", "spin"):
        # [O+, [H, O]] = - sum_ij h_ij |f_i - f_j|^2 c+_i c_j for O = sum_i f_i n_i.
        sites = bond_terms(model)[0]
        apart = np.abs(phases[sites[:, 0]] - phases[sites[:, 1]]) ** 2
        commutator = kinetic_terms(model, (-0.5 if operator == "density" else -0.125) * apart)
    if operator == "density":
        terms = LadderTerms.diagonal(np.tile(phases, len(model.particles)))
    elif operator == "spin":
        terms = LadderTerms.diagonal(np.concatenate([0.5 * phases, -0.5 * phases]))
    else:
        up, down = np.arange(size), np.arange(size, 2 * size)
        plus = operator == "spin-plus"
        terms = LadderTerms(*((up, down) if plus else (down, up)), phases)
        step = 1 if plus else -1
        changed = LatticeHamiltonian(with_changed_filling(with_changed_filling(model, step, 0), -step, 1))
    return Channel(_label(momentum), (terms,), 1, changed, facts, commutator)


def _of_plane_waves(model, operator, momenta) -> list[Channel]:
    change = -1 if operator == "removal" else 1
    found = []
    for spin in range(len(model.particles)):
        if spin and model.particles[0] == model.particles[1]:
            break  # the same as of the other spin
        changed = LatticeHamiltonian(with_changed_filling(model, change, spin))
        for momentum in particle_momenta(model, momenta):
            wave = plane_wave(model, momentum)
            if np.abs(np.imag(wave)).max() < 1e-12:
                wave = np.real(wave).copy()
            make = LadderTerms.removal if change < 0 else LadderTerms.addition
            name = _label(momentum) + (("", " down")[spin] if model.is_spinful else "")
            k = space_wave_vector(model, momentum)
            facts = {"momentum": list(momentum), "wave_vector": k, "spin": spin}
            terms = make(wave, spin * model.n_sites)
            found.append(Channel(name, (terms,), change, changed, facts))
    return found


def space_wave_vector(model: Lattice, momentum: Momentum) -> list[float]:
    """Return k (2,) of a particle, twist included."""
    from hamiltonians import space_group

    return list(space_group(one_particle(model)).wave_vector(momentum))


def bond_terms(model: Lattice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pairs of sites (2 B, 2), h_ij (2 B,) and vectors r_j - r_i (2 B, 2), both ways of all bonds."""
    bonds = model.bonds
    first, second = bonds.sites.T
    extents = np.array(model.lattice.vectors) * np.array(model.size)[:, None]
    ways = model.positions[second] - model.positions[first] + bonds.windings @ extents
    elements = np.where(bonds.shells == 1, -model.t, -model.t_prime) * bonds.phases
    sites = np.concatenate([bonds.sites, bonds.sites[:, ::-1]])
    return sites, np.concatenate([elements, np.conj(elements)]), np.concatenate([ways, -ways])


def kinetic_terms(model: Lattice, factors: np.ndarray) -> LadderTerms:
    """Sum of factors h_ij c+_i c_j over both ways of all bonds and all spins; factors (2 B,)."""
    sites, elements, _ = bond_terms(model)
    parts = []
    for spin in range(len(model.particles)):
        shifted = sites + spin * model.n_sites
        parts.append(LadderTerms(shifted[:, 0].copy(), shifted[:, 1].copy(), factors * elements))
    total = parts[0] if len(parts) == 1 else parts[0] + parts[1]
    kept = total.values != 0
    return LadderTerms(total.creators[kept], total.annihilators[kept], total.values[kept])


def _currents(model) -> list[Channel]:
    _, _, ways = bond_terms(model)
    found = []
    for axis in range(2):
        terms = kinetic_terms(model, 1j * ways[:, axis])
        if np.abs(ways[:, axis]).max(initial=0.0) > 1e-12 and len(terms.values):
            found.append(Channel(AXES[axis], (terms,), facts={"axis": AXES[axis]}))
    if not found:
        raise InputError("nothing hops on this lattice: it has no current")
    return found


def _dipole(molecule) -> list[Channel]:
    dipole = None if molecule.properties is None else molecule.properties.dipole
    if dipole is None:
        raise InputError("dipole integrals of this problem are not known (a FCIDUMP file has none)")
    blocks = np.broadcast_to(dipole, (2, *dipole.shape[-3:]))
    m = dipole.shape[-1]
    found = []
    for axis in range(3):
        matrix = np.zeros((2 * m, 2 * m))
        matrix[:m, :m], matrix[m:, m:] = blocks[0, axis], blocks[1, axis]
        matrix[np.abs(matrix) < 1e-10] = 0.0
        if matrix.any():
            found.append(Channel(AXES[axis], (LadderTerms.one_body(matrix),), facts={"axis": AXES[axis]}))
    return found


def _of_orbitals(molecule, operator) -> list[Channel]:
    """A block of all orbitals of an irrep, for each spin where the two differ."""
    integrals = molecule.integrals
    change = -1 if operator == "removal" else 1
    m, bits = integrals.n_orbitals, irrep_bits(integrals)
    spins = (0,) if integrals.n_alpha == integrals.n_beta and not integrals.is_spin_resolved else (0, 1)
    found = []
    for spin in spins:
        changed = _charged(molecule, change, spin)
        if changed is None:
            continue
        for code in np.unique(bits):
            orbitals = np.flatnonzero(bits == code)
            make = LadderTerms.removal if change < 0 else LadderTerms.addition
            terms = tuple(make(np.eye(m)[p], spin * m) for p in orbitals)
            name = (
                irrep_name(int(code), integrals.point_group) if integrals.orbital_irreps else "all orbitals"
            )
            label = name + (f" {('alpha', 'beta')[spin]}" if len(spins) > 1 else "")
            facts = {
                "irrep": name,
                "spin": spin,
                "orbitals": orbitals.tolist(),
                "multiplicity": 3 - len(spins),
            }
            found.append(Channel(label, terms, change, changed, facts))
    if not found:
        raise InputError(f"operator {operator}: there is no electron to remove or no room for another")
    return found


def _charged(molecule, change, spin) -> Hamiltonian | None:
    """H with an electron more or less of one spin; None where that is impossible, or none are left."""
    integrals = molecule.integrals
    numbers = [integrals.n_alpha, integrals.n_beta]
    numbers[spin] += change
    if not 0 <= numbers[spin] <= integrals.n_orbitals:
        return None
    filled = tuple(range(numbers[0])), tuple(range(numbers[1]))
    return MolecularHamiltonian(
        replace(integrals, n_alpha=numbers[0], n_beta=numbers[1], reference_occupation=filled)
    )

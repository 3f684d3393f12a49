"""The second-quantised electronic Hamiltonian as arrays: what every solver of molecules reads."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hamiltonians.errors import InputError, real_array, symmetrised, whole_number
from hamiltonians.irreps import determinant_irrep, irrep_codes, irrep_name
from hamiltonians.packing import number_of_pairs, pack_full, rotate_pairs, unpack_pairs

Occupation = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class MolecularIntegrals:
    r"""A molecular Hamiltonian in an orthonormal basis of M real spatial orbitals.

    .. math::
        H = E_0 + \sum_{pq\sigma} h^\sigma_{pq} a^\dagger_{p\sigma} a_{q\sigma}
          + \tfrac12 \sum_{pqrs\sigma\tau} (pq|rs)^{\sigma\tau}
            a^\dagger_{p\sigma} a^\dagger_{r\tau} a_{s\tau} a_{q\sigma}

    with E_0 the `constant`, h the `one_body` and (pq|rs) the `two_body` integrals (chemists'
    notation), all in Hartree. Arrays are copied where needed and made read-only.

    Raises:
        InputError: Shapes disagree, values are complex or not finite, a symmetry is broken, or the
            electrons do not fit into the orbitals.
    """

    constant: float
    """Energy of the nuclei and of a frozen core, in Hartree."""
    one_body: np.ndarray
    """h_pq: (M, M), the same for both spins, or (2, M, M) for [alpha, beta]."""
    two_body: np.ndarray
    """(pq|rs) over pairs p (p + 1) / 2 + q, p >= q: (npair, npair), or (3, npair, npair) for
    [aa, ab, bb], where ab[pq, rs] = (pq alpha | rs beta)."""
    n_alpha: int
    """Number of alpha electrons."""
    n_beta: int
    """Number of beta electrons."""
    orbital_irreps: tuple[str, ...] | None = None
    """Irrep of every orbital in an Abelian point group, or None where unknown."""
    point_group: str | None = None
    """The group of `orbital_irreps`; None with irreps means these are FCIDUMP numbers "1" to "8"."""
    # Never None once built: __post_init__ fills it in.
    reference_occupation: Occupation = None  # type: ignore[assignment]
    """Occupied (alpha, beta) orbitals of the reference determinant, ascending; None on input means
    the first `n_alpha` and `n_beta`."""

    def __post_init__(self) -> None:
        """Check everything and freeze the arrays."""
        one_body = real_array(self.one_body, "one_body")
        two_body = real_array(self.two_body, "two_body")
        size = _checked_size(one_body, two_body)
        one_body = symmetrised(one_body, "one_body", "h_pq = h_qp")
        if two_body.ndim == 2:
            two_body = symmetrised(two_body, "two_body", "(pq|rs) = (rs|pq)")
        else:
            for block in (0, 2):
                symmetric = symmetrised(two_body[block], "two_body", "(pq|rs) = (rs|pq)")
                if symmetric is not two_body[block]:
                    two_body = two_body if two_body.flags.writeable else two_body.copy()
                    two_body[block] = symmetric
        for array in (one_body, two_body):
            array.flags.writeable = False
        irreps = None if self.orbital_irreps is None else tuple(map(str, self.orbital_irreps))
        if irreps is not None and len(irreps) != size:
            raise InputError(f"{len(irreps)} orbital_irreps for {size} orbitals: give one each")
        irrep_codes(irreps, self.point_group, size)
        numbers = [_electrons(self.n_alpha, size, "alpha"), _electrons(self.n_beta, size, "beta")]
        checked = {
            "constant": _real_number(self.constant),
            "one_body": one_body,
            "two_body": two_body,
            "n_alpha": numbers[0],
            "n_beta": numbers[1],
            "orbital_irreps": irreps,
            "reference_occupation": _occupation(self.reference_occupation, size, numbers),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def n_orbitals(self) -> int:
        """M, the number of spatial orbitals."""
        return self.one_body.shape[-1]

    @property
    def n_electrons(self) -> int:
        """Number of (active) electrons."""
        return self.n_alpha + self.n_beta

    @property
    def two_S(self) -> int:
        """n_alpha - n_beta, twice the spin projection."""
        return self.n_alpha - self.n_beta

    @property
    def reference_irrep(self) -> int:
        """Irrep code of the reference determinant; 0 where irreps are unknown."""
        return determinant_irrep(*self.reference_occupation, irrep_bits(self))

    @property
    def is_spin_resolved(self) -> bool:
        """True where alpha and beta orbitals differ (UHF)."""
        return self.one_body.ndim == 3

    @property
    def infinite_temperature_energy(self) -> float:
        """Mean of the diagonal over all determinants with these electrons, Tr H / dim (Hartree).

        Where the V-score measures energies from (Wu et al., Science 386, 296 (2024)).
        """
        size = self.n_orbitals
        one_body, two_body = self.spin_blocks
        diagonal = np.arange(size) * (np.arange(size) + 3) // 2  # pairs (p, p)
        energy = self.constant
        for spin, count in enumerate((self.n_alpha, self.n_beta)):
            energy += count / size * np.trace(one_body[spin])
            if count > 1:
                block = two_body[2 * spin]
                coulomb = block[np.ix_(diagonal, diagonal)].sum()
                # sum_pq (pq|qp): every pair of different orbitals comes twice.
                exchange = 2.0 * np.trace(block) - block[diagonal, diagonal].sum()
                energy += count * (count - 1) / (2 * size * (size - 1)) * (coulomb - exchange)
        other = two_body[1][np.ix_(diagonal, diagonal)].sum()
        return float(energy + self.n_alpha * self.n_beta / size**2 * other)

    @property
    def spin_blocks(self) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
        """(h_alpha, h_beta) and (aa, ab, bb), the same array several times where the spins do not differ."""
        if self.is_spin_resolved:
            return tuple(self.one_body), tuple(self.two_body)
        return (self.one_body,) * 2, (self.two_body,) * 3

    def unpack_two_body(self) -> np.ndarray:
        """Return the full tensor (pq|rs): (M, M, M, M), or (3, M, M, M, M) for [aa, ab, bb]."""
        if not self.is_spin_resolved:
            return unpack_pairs(self.two_body, self.n_orbitals)
        return np.stack([unpack_pairs(block, self.n_orbitals) for block in self.two_body])

    def spin_resolved(self) -> "MolecularIntegrals":
        """Return the same Hamiltonian with separate (equal) alpha and beta integrals."""
        if self.is_spin_resolved:
            return self
        one_body, two_body = self.spin_blocks
        return replace(self, one_body=np.stack(one_body), two_body=np.stack(two_body))

    def spin_flipped(self) -> "MolecularIntegrals":
        """Return the Hamiltonian with alpha and beta exchanged; its spectrum is the same."""
        alpha, beta = self.reference_occupation
        one_body, two_body = self.one_body, self.two_body
        if self.is_spin_resolved:
            aa, ab, bb = self.two_body
            one_body, two_body = one_body[::-1], np.stack([bb, ab.T, aa])
        return replace(
            self,
            one_body=one_body,
            two_body=two_body,
            n_alpha=self.n_beta,
            n_beta=self.n_alpha,
            reference_occupation=(beta, alpha),
        )

    def rotate(self, coefficients: np.ndarray) -> "MolecularIntegrals":
        """Return the Hamiltonian in new orbitals |j> = sum_p |p> C_pj.

        Irrep labels are kept where every new orbital lies in one irrep, and dropped otherwise. The
        reference occupation keeps its orbital indices.

        Args:
            coefficients: C, orthogonal: (M, M), or (2, M, M) for different alpha and beta orbitals
                (which makes the result spin-resolved).

        Raises:
            InputError: C has a wrong shape or is not orthogonal.
        """
        rotation = real_array(coefficients, "coefficients")
        size = self.n_orbitals
        if rotation.shape not in ((size, size), (2, size, size)):
            raise InputError(
                f"coefficients of shape {rotation.shape}: give ({size}, {size}) or (2, {size}, {size})"
            )
        identity = np.swapaxes(rotation, -1, -2) @ rotation
        if np.abs(identity - np.eye(size)).max(initial=0.0) > 1e-8:
            raise InputError("coefficients are not orthogonal: give C with C^T C = 1")
        source = self.spin_resolved() if rotation.ndim == 3 else self
        alpha, beta = (rotation, rotation) if rotation.ndim == 2 else rotation
        labels = self._rotated_irreps((alpha, beta))
        if not source.is_spin_resolved:
            one_body = alpha.T @ source.one_body @ alpha
            two_body = rotate_pairs(source.two_body, alpha, alpha)
        else:
            h_alpha, h_beta = source.one_body
            one_body = np.stack([alpha.T @ h_alpha @ alpha, beta.T @ h_beta @ beta])
            spins = ((alpha, alpha), (alpha, beta), (beta, beta))
            two_body = np.stack([rotate_pairs(block, *pair) for block, pair in zip(source.two_body, spins)])
        return replace(
            self,
            one_body=one_body,
            two_body=two_body,
            orbital_irreps=labels,
            point_group=None if labels is None else self.point_group,
        )

    @classmethod
    def from_full(
        cls,
        constant: float,
        one_body: np.ndarray,
        two_body_full: np.ndarray,
        n_alpha: int,
        n_beta: int,
        **fields: Any,
    ) -> "MolecularIntegrals":
        """Build from the unpacked tensor (pq|rs).

        Args:
            constant: E_0 in Hartree.
            one_body: (M, M) or (2, M, M).
            two_body_full: (M, M, M, M), or (3, M, M, M, M) for [aa, ab, bb].
            n_alpha: Number of alpha electrons.
            n_beta: Number of beta electrons.
            fields: The other fields of the class.

        Raises:
            InputError: The integrals are complex or lack the symmetries of real orbitals.
        """
        full = real_array(two_body_full, "two_body_full")
        if full.ndim == 4:
            packed = pack_full(full, exchange=True)
        elif full.ndim == 5 and full.shape[0] == 3:
            packed = np.stack([pack_full(block, exchange=index != 1) for index, block in enumerate(full)])
        else:
            raise InputError(f"two_body_full of shape {full.shape}: give (M, M, M, M) or (3, M, M, M, M)")
        return cls(constant, one_body, packed, n_alpha, n_beta, **fields)

    def _rotated_irreps(self, rotations: tuple[np.ndarray, ...]) -> tuple[str, ...] | None:
        if self.orbital_irreps is None:
            return None
        codes = irrep_bits(self)
        labels = []
        for orbital in range(self.n_orbitals):
            present = {
                int(code) for rotation in rotations for code in codes[np.abs(rotation[:, orbital]) > 1e-12]
            }
            if len(present) != 1:
                return None
            labels.append(irrep_name(present.pop(), self.point_group))
        return tuple(labels)


def irrep_bits(integrals: MolecularIntegrals) -> np.ndarray:
    """Return XOR-able irrep codes of the orbitals, (M,) int; zeros where labels are unknown.

    h_pq vanishes unless bits[p] ^ bits[q] is 0, and (pq|rs) unless the XOR of all four is 0. So a
    determinant's irrep is the XOR over its occupied spin orbitals, and H never leaves it.
    """
    return irrep_codes(integrals.orbital_irreps, integrals.point_group, integrals.n_orbitals)


def _real_number(value: float) -> float:
    """Return a finite real scalar, in Hartree."""
    if isinstance(value, complex) and value.imag != 0.0:
        raise InputError("constant is complex: only real Hamiltonians are supported")
    number = float(np.real(value))
    if not np.isfinite(number):
        raise InputError(f"constant is {number}: give a finite energy in Hartree")
    return number


def _checked_size(one_body: np.ndarray, two_body: np.ndarray) -> int:
    """Return M after checking that one- and two-body arrays belong together."""
    size = one_body.shape[-1] if one_body.ndim else 0
    if one_body.shape not in ((size, size), (2, size, size)) or size == 0:
        raise InputError(f"one_body of shape {one_body.shape}: give (M, M) or (2, M, M) with M of at least 1")
    pairs = number_of_pairs(size)
    expected = (pairs, pairs) if one_body.ndim == 2 else (3, pairs, pairs)
    if two_body.shape != expected:
        raise InputError(
            f"two_body of shape {two_body.shape} beside one_body {one_body.shape}: give the packed "
            f"{expected}, or use MolecularIntegrals.from_full for an unpacked tensor"
        )
    return size


def _electrons(value: int, size: int, spin: str) -> int:
    """Return a checked number of electrons of one spin."""
    number = whole_number(value, f"number of {spin} electrons")
    if not 0 <= number <= size:
        raise InputError(f"{value} {spin} electrons in {size} orbitals: give 0 to {size}")
    return number


def _occupation(occupation: tuple | None, size: int, numbers: Sequence[int]) -> Occupation:
    """Return a checked reference occupation; the lowest orbitals where None."""
    if occupation is None:
        return tuple(range(numbers[0])), tuple(range(numbers[1]))
    if len(occupation) != 2:
        raise InputError("reference_occupation: give a pair (alpha orbitals, beta orbitals)")
    checked = []
    for orbitals, number in zip(occupation, numbers, strict=True):
        ordered = tuple(sorted({int(orbital) for orbital in orbitals}))
        inside = not ordered or (ordered[0] >= 0 and ordered[-1] < size)
        if len(ordered) != number or len(ordered) != len(tuple(orbitals)) or not inside:
            raise InputError(
                f"reference_occupation {tuple(orbitals)}: give {number} different orbitals "
                f"from 0 to {size - 1}"
            )
        checked.append(ordered)
    return checked[0], checked[1]

"""Samples of |psi|^2 in batches that are as good as independent: what error bars are made from."""

import numpy as np
import scipy.sparse

from nnbf.determinants import pack_occupations
from nnbf.determinants.hashing import merge_equal

#: Batches that samples are put into where that can be chosen.
BATCHES = 32

_MOST_BATCHES = 128


class Samples:
    """Distinct determinants, and how often each was drawn in every batch."""

    def __init__(self, determinants: np.ndarray, counts: scipy.sparse.csr_matrix):
        """Take the counts.

        Args:
            determinants: (u, 2 W) distinct bit strings.
            counts: (B, u), how often each was drawn in each batch, B >= 3. Batches are taken as
                independent of each other.

        Raises:
            ValueError: There are fewer than 3 batches, or an empty one.
        """
        counts = scipy.sparse.csr_matrix(counts, dtype=np.float64)
        sizes = np.asarray(counts.sum(axis=1)).ravel()
        if counts.shape[0] < 3 or np.any(sizes <= 0.0):
            raise ValueError(f"{counts.shape[0]} batches of samples: at least 3, none empty, are needed")
        self.determinants = np.ascontiguousarray(determinants, dtype=np.uint64)
        """(u, 2 W) bit strings."""
        self.shares = sizes / sizes.sum()
        """(B,) share of the samples in each batch."""
        self.weights = (scipy.sparse.diags(1.0 / sizes) @ counts).tocsr()
        """(B, u), rows sum to 1: the batch's estimate of |psi|^2."""
        self.n_samples = round(float(sizes.sum()))
        """Samples in all."""

    @classmethod
    def from_chains(cls, occupations: np.ndarray) -> "Samples":
        """Samples of Markov chains, as NetKet's states have them.

        With 16 chains or more a batch is one chain or several. Fewer chains are cut into consecutive
        pieces, which must be longer than the autocorrelation time for the errors to be right.

        Args:
            occupations: (chains, length, 2 M) of zeros and ones, alpha first.
        """
        n_chains, length, _ = occupations.shape
        chain = np.repeat(np.arange(n_chains), length)
        if n_chains >= 16:
            batch = chain * min(n_chains, _MOST_BATCHES) // n_chains
        else:
            pieces = min(length, -(-BATCHES // n_chains))
            batch = chain * pieces + np.tile(np.arange(length) * pieces // length, n_chains)
        return cls._merged(pack_occupations(occupations.reshape(n_chains * length, -1)), batch)

    @classmethod
    def independent(cls, determinants: np.ndarray, counts: np.ndarray, seed: int = 0) -> "Samples":
        """Independent samples, given by how often each determinant was drawn.

        Args:
            determinants: (u, 2 W) bit strings.
            counts: (u,) whole numbers.
            seed: Of the order in which they are dealt into batches.
        """
        drawn = np.repeat(np.arange(len(determinants)), counts)
        drawn = np.random.default_rng(seed).permutation(drawn)
        batch = np.arange(len(drawn)) * min(BATCHES, len(drawn)) // max(1, len(drawn))
        return cls._merged(np.asarray(determinants)[drawn], batch)

    @classmethod
    def _merged(cls, rows, batch):
        distinct, index = merge_equal(np.ascontiguousarray(rows, dtype=np.uint64))
        shape = (int(batch.max(initial=-1)) + 1, len(distinct))
        return cls(distinct, scipy.sparse.coo_matrix((np.ones(len(rows)), (batch, index)), shape=shape))

    def mean(self, of_batches: np.ndarray) -> np.ndarray:
        """Mean over all samples of averages over batches (B, ...)."""
        return np.tensordot(self.shares, of_batches, axes=1)

    def error(self, of_batches: np.ndarray) -> np.ndarray:
        """Standard error of `mean`, from the spread of the batches."""
        n = len(self.shares)
        spread = np.asarray(of_batches) - self.mean(of_batches)
        return np.sqrt(np.tensordot(self.shares**2, spread**2, axes=1) * n / (n - 1))

    def without_one(self, of_batches: np.ndarray) -> np.ndarray:
        """Means over all batches but one, (B, ...), for the jackknife."""
        shares = self.shares.reshape(-1, *[1] * (np.ndim(of_batches) - 1))
        return (self.mean(of_batches) - shares * of_batches) / (1.0 - shares)


def jackknife_error(without_one: np.ndarray) -> np.ndarray:
    """Standard error of a function of means, from its values (B, ...) with one batch left out.

    (Efron, The Jackknife, the Bootstrap and Other Resampling Plans, SIAM, 1982.)
    """
    n = len(without_one)
    spread = np.asarray(without_one) - np.mean(without_one, axis=0)
    return np.sqrt((n - 1) / n * np.sum(spread**2, axis=0))

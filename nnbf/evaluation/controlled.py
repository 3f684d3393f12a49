r"""Means of samples with control variates: quantities whose exact mean is known to be zero.

.. math:: \bar x_c = \frac1n \sum_s (x_s - \sum_k c_k t_{ks}), \qquad \langle t_k \rangle = 0

has the mean of x for any fixed coefficients c, and less noise for good ones (Hammersley and Handscomb, Monte
Carlo Methods, chapter 5). Coefficients come from samples that are not averaged, so that the mean stays
exactly unbiased.
"""

from typing import NamedTuple

import jax.numpy as jnp
import netket as nk
import numpy as np


class SampleMean(NamedTuple):
    """Mean of samples and how well it is known."""

    mean: float
    """The mean."""
    error: float
    """Its standard error; autocorrelation of chains is included."""
    r_hat: float | None = None
    """Split R-hat over the chains (Gelman et al., Bayesian Data Analysis): 1 where they agree."""
    tau: float = 0.0
    """Autocorrelation time in samples; 0 for independent samples."""


def coefficients(values: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """Least-squares coefficients (k,) that make ``values - controls @ c`` fluctuate least.

    Args:
        values: Samples x, any shape.
        controls: Samples of the control variates, the same shape and (k,) more.
    """
    columns = controls.reshape(values.size, controls.shape[-1])
    if 0 in columns.shape or len(columns) < 2:
        return np.zeros(columns.shape[1])
    x = values.reshape(-1)
    centred = columns - columns.mean(axis=0)
    scale = np.sqrt(np.mean(centred**2, axis=0))
    scale[scale == 0] = np.inf
    found, *_ = np.linalg.lstsq(centred / scale, x - x.mean(), rcond=1e-8)
    return found / scale


def sample_mean(values: np.ndarray, *, independent: bool) -> SampleMean:
    """Mean of samples (chains, length), with its error.

    Args:
        values: The samples; chains are independent of each other.
        independent: Whether samples of a chain are, too; then there is no R-hat.
    """
    chains, length = values.shape
    mean = float(np.mean(values))
    spread = float(np.std(values, ddof=1)) if values.size > 1 else np.inf
    plain = spread / np.sqrt(values.size)
    # Rounding of equal numbers is no fluctuation, and NetKet's ratios of it make no sense.
    if independent or length < 4 or spread <= 1e-14 * max(1.0, abs(mean)):
        return SampleMean(mean, plain)
    stats = nk.stats.statistics(jnp.asarray(values))
    # The largest of three estimates: uncorrelated, NetKet's, and from the means of two batches a chain.
    half = length // 2
    batches = values[:, : 2 * half].reshape(2 * chains, half).mean(axis=1)
    of_batches = float(np.std(batches, ddof=1) / np.sqrt(len(batches)))
    error = max(plain, float(np.nan_to_num(stats.error_of_mean)), of_batches)
    return SampleMean(mean, error, float(stats.R_hat), max(0.0, float(np.nan_to_num(stats.tau_corr))))

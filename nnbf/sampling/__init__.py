"""Sampling |psi|^2 of molecules: excitation proposals for Metropolis chains, exact sampling of a sector."""

from nnbf.sampling.excitations import ExcitationRule
from nnbf.sampling.sector import SectorSampler

__all__ = ["ExcitationRule", "SectorSampler"]

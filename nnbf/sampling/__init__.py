"""Sampling |psi|^2: proposals for Metropolis chains (excitations, hops), exact sampling of a sector."""

from nnbf.sampling.excitations import ExcitationRule
from nnbf.sampling.hops import HopRule, ordered_configuration
from nnbf.sampling.sector import SectorSampler

__all__ = ["ExcitationRule", "HopRule", "SectorSampler", "ordered_configuration"]

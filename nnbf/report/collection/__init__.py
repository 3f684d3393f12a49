"""One report over many runs and sweeps: a page, tables for papers, rows and records for leaderboards."""

from nnbf.report.collection.sources import Collection, Entry, SweepEntry, read_collection
from nnbf.report.collection.write import WrittenCollection, write_collection

__all__ = [
    "Collection",
    "Entry",
    "SweepEntry",
    "WrittenCollection",
    "read_collection",
    "write_collection",
]

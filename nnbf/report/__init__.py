"""Page, figures and tables of one run or several, made from the files of their folders alone."""

from nnbf.report.energies import Reference, best_reference
from nnbf.report.reading import RunRecord, read_run
from nnbf.report.write import WrittenCollection, WrittenReport, write_collection, write_report

__all__ = [
    "Reference",
    "RunRecord",
    "WrittenCollection",
    "WrittenReport",
    "best_reference",
    "read_run",
    "write_collection",
    "write_report",
]

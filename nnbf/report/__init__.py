"""Page, figures and tables of one run or several, made from the files of their folders alone."""

from nnbf.report.collection import WrittenCollection, write_collection
from nnbf.report.energies import Reference, best_reference
from nnbf.report.page import WrittenReport, write_report
from nnbf.report.reading import RunRecord, read_run

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

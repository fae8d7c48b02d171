"""Studies: the same arms at many points of a grid of worlds, with paired seeds."""

from frft.study.config import Cell, Study, StudyConfig
from frft.study.label_table import LABELS_BOUGHT_COLUMNS, label_rows
from frft.study.load import load_study, study_names
from frft.study.report import OVERVIEW_COLUMNS, VERDICT_COLUMNS, claim_line, overview, verdicts
from frft.study.runner import expected_seconds, run_study, to_do, worker_count

__all__ = [
    "LABELS_BOUGHT_COLUMNS",
    "OVERVIEW_COLUMNS",
    "VERDICT_COLUMNS",
    "Cell",
    "Study",
    "StudyConfig",
    "claim_line",
    "expected_seconds",
    "label_rows",
    "load_study",
    "overview",
    "run_study",
    "study_names",
    "to_do",
    "verdicts",
    "worker_count",
]

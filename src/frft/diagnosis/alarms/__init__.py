"""Failure signatures: functions from measurements to alarms.

An alarm fires only where the whole 95 % interval of its figure is on the failing side of its threshold, or where a
one-sided test at 5 % is significant; an unclear figure raises no alarm. Each alarm's docstring gives its threshold and
the reason for it.

Each signature is declared once, as a `FailureSignature` in the table at the end of its file; diagnoses, measurements in
training, gates and reports go through `FAILURE_SIGNATURES`.
"""

from frft.diagnosis.alarms.signature import Examined, FailureSignature
from frft.diagnosis.alarms.table import FAILURE_SIGNATURES

__all__ = ["FAILURE_SIGNATURES", "Examined", "FailureSignature"]

"""Failure signatures: functions from measurements to alarms.

One rule for all: an alarm fires only where the whole 95 % interval of its figure is on the wrong side of its threshold,
or a one-sided test at 5 % says so. A figure that is merely unclear raises none. Each alarm's docstring states the
threshold and why it is there.

A signature is declared once, as a `FailureSignature` in the table at the end of the file that it belongs to; diagnoses,
looks, gates and what they print take all of `FAILURE_SIGNATURES`.
"""

from frft.diagnosis.alarms.signature import Examined, FailureSignature
from frft.diagnosis.alarms.table import FAILURE_SIGNATURES

__all__ = ["FAILURE_SIGNATURES", "Examined", "FailureSignature"]

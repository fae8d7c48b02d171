"""`frft doctor`: whether this installation, this machine and these folders are fit for what frft does."""

from frft.doctor.examination import check_health
from frft.doctor.health import HealthCheck, HealthReport

__all__ = ["HealthCheck", "HealthReport", "check_health"]

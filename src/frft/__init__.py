"""frft: keep the reward model where the policy writes."""

__version__ = "0.1.0"

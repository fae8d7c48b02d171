"""The typed configuration of a run: presets, YAML files and the command line in, a frozen `RunConfig` out."""

from frft.config.annotate import annotated_preset
from frft.config.load import dump_config, load_config
from frft.config.model import RunConfig
from frft.config.presets import list_presets

__all__ = ["RunConfig", "annotated_preset", "dump_config", "list_presets", "load_config"]

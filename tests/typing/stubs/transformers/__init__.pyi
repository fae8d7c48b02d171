# The classes that signatures of the surface name, for basedpyright alone: to read all of the package would take it two
# thirds of its time, and tell nothing of frft.
from typing import Any

class PretrainedConfig:
    def __getattr__(self, name: str) -> Any: ...

class PreTrainedModel:
    def __getattr__(self, name: str) -> Any: ...

class PreTrainedTokenizerBase:
    def __getattr__(self, name: str) -> Any: ...

class TrainerCallback: ...

"""Forms in which other software saves reward models: which are read as a classifier with one output, and which are not.

Two outputs become one, their difference, exactly: logit[1] - logit[0] = (w[1] - w[0]) h + b[1] - b[0]. A head that
OpenRLHF saved as `value_head` is a classifier's `score`. What is no classifier with one output is refused by name.
"""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frft.errors import ModelError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

OPENRLHF_CLASSES = ("RewardModel", "LLMForSequenceRegression")
"""Names of the class of reward models in versions of OpenRLHF."""
OPENRLHF_HEAD = "value_head.weight"
VALUE_HEAD_FILES = ("value_head.safetensors", "value_head.bin")
LANGUAGE_MODELS = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration", "ForMaskedLM", "ForPreTraining")

_VALUE_HEAD = (
    "It has a value head (v_head) beside a language model, as TRL's AutoModelForCausalLMWithValueHead, LLaMA-Factory "
    "and DeepSpeed-Chat save it: it gives a value to every token, and no two of them read it alike. Save backbone and "
    "head as a sequence classifier with one output (AutoModelForSequenceClassification, num_labels=1), or train one: "
    "save the language model without its value head, then frft reward train."
)


def refuse_archives(name: str | Path) -> None:
    """Refuse what no loader here could read, by its name or by the files in its folder.

    Raises:
        ModelError: an archive of NeMo's, or a value head in a file of its own or in a pickle.
    """
    path = Path(name)
    files = {file.name for file in path.iterdir()} if path.is_dir() else {path.name}
    if any(file.endswith(".nemo") for file in files) or ("model_config.yaml" in files and "config.json" not in files):
        raise ModelError(
            f"{name} is a model of NeMo's (.nemo, model_config.yaml), which is not read. Convert it to a folder of "
            "Transformers (NeMo has scripts for that); a reward model needs one output, not several attributes."
        )
    pickled = path / "pytorch_model.bin"
    # The names of the weights stand in the pickle as text: nothing is unpickled to see them.
    if files & set(VALUE_HEAD_FILES) or (pickled.is_file() and _names_in_pickle(pickled, b"v_head.")):
        raise ModelError(f"{name} cannot be read as a reward model. {_VALUE_HEAD}")


def saved_outputs(info: Mapping[str, Any]) -> int | None:
    """How many outputs the head in the files has, where a model of one output was made; None: one, or no head.

    Args:
        info: loading info of Transformers.
    """
    heads = [saved[0] for _, saved, made in info["mismatched_keys"] if made[0] == 1 and len(saved) == len(made)]
    return max(heads, default=None)


def fold_outputs(model: PreTrainedModel) -> str:
    """Make one output of a classifier's two, in place: the second less the first.

    Returns:
        What the output is, in words, with the names of the two.

    Raises:
        ModelError: it cannot be told which layer gives the two outputs.
    """
    import torch

    backbone = f"{model.base_model_prefix}."
    heads = [
        (name, layer)
        for name, layer in model.named_modules()
        if isinstance(layer, torch.nn.Linear) and layer.out_features == 2 and not name.startswith(backbone)
    ]
    if len(heads) != 1:
        raise ModelError(
            f"{type(model).__name__} has two outputs, and {len(heads)} layers that could give them; there must be one. "
            "Give a classifier with one output."
        )
    ((name, layer),) = heads
    folded = torch.nn.Linear(layer.in_features, 1, bias=layer.bias is not None, dtype=torch.float32)
    with torch.no_grad():
        folded.weight.copy_(_difference(layer.weight))
        if layer.bias is not None:
            folded.bias.copy_(_difference(layer.bias))
    model.set_submodule(name, folded.to(layer.weight.dtype))
    names = model.config.id2label
    model.config.num_labels = model.num_labels = 1
    model.config.problem_type = None
    return f"one output, made of two: the logit of {names[1]} (1) less that of {names[0]} (0)"


def _difference(rows_2: torch.Tensor) -> torch.Tensor:
    """The second less the first, in float32: a difference of bfloat16 numbers would be rounded twice."""
    return rows_2[1:].float() - rows_2[:1].float()


def why_no_head(architecture: str | None, outputs: int | None, unread: Collection[str]) -> str:
    """Why a folder has no head that gives one score, and what to do.

    Args:
        architecture: the class that it was saved by.
        outputs: outputs of the head in its files, or by its configuration; None: unknown.
        unread: names of weights in its files that a classifier has no place for.
    """
    saved_by = architecture or "a class that config.json does not name"
    other = sorted(unread)
    if outputs is not None and outputs > 2:
        return (
            f"It gives {outputs} outputs ({saved_by}), as reward models of several attributes (ArmoRM, Nemotron) and "
            "classifiers of several classes do; which of them is the reward is not said. Give a model with one output "
            "(or two, whose difference is the score), or load it by a package: CONTRIBUTING.md, a reward head."
        )
    if architecture is not None and architecture.endswith(LANGUAGE_MODELS):
        return (
            f"It looks like a language model ({saved_by}), which has no head that gives a score: frft reward train "
            "gives it one. A generative reward model, which writes its judgement, is no reward model here but a judge, "
            "asked behind an endpoint (openai:MODEL)."
        )
    if other:
        return (
            f"It was saved by {saved_by}, with a head of its own ({', '.join(other[:3])}) that classifiers of "
            "Transformers have no place for. Load it by a package that knows the class: CONTRIBUTING.md, a reward head."
        )
    return (
        f"It was saved by {saved_by}, without a head that gives a score. Use a folder that was saved completely, or "
        "train the model first: frft reward train."
    )


def refuse_value_head(name: str | Path, unread: Iterable[str]) -> None:
    """Refuse a language model with a value head, whatever it is loaded for: the head would be dropped in silence.

    Raises:
        ModelError: there is one among the weights that were not read.
    """
    if any(key.startswith("v_head.") for key in unread):
        raise ModelError(f"{name} cannot be read as a reward model. {_VALUE_HEAD}")


def _names_in_pickle(file: Path, word: bytes) -> bool:
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any(word in archive.read(entry) for entry in archive.namelist() if entry.endswith("/data.pkl"))

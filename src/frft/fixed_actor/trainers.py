"""Training of reward models: a head on frozen features, a head and the last layer, or the whole transformer.

Those linear in frozen features are fitted in `frft.fixed_actor.linear`. All others are trained by the Bradley-Terry
loss, -log sigmoid(r(chosen) - r(rejected)), with AdamW, for a number of steps that does not depend on how many pairs
there are. TRL trains what reads tokens; the two that read stored features have a loop of their own, because TRL's
collators and models know nothing but tokens.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from frft.config.sections import FixedActorConfig, RewardModelConfig, TrainConfig
from frft.errors import TrainingError
from frft.fixed_actor.linear import LinearTrainer
from frft.fixed_actor.states import TokenStates, transformer_of
from frft.fixed_actor.texts import Features, PairTexts
from frft.progress import SILENT, Progress
from frft.selection import Embedder
from frft.statistics.numbers import Floats, Indices
from frft.store import atomic_folder, seal

if TYPE_CHECKING:
    import pyarrow as pa
    from torch import Tensor, nn

    from frft.reward import RewardModel

CutPairs = dict[str, int]
"""How much of the training pairs was not read: `sequences` (two a pair), how many of them were `truncated`,
and how many pairs are `identical`, left out because they differ only in what was cut. Empty for `head`, which reads no
tokens."""
SCORED_AT_ONCE = 512
"""Texts that are scored at a time, which bounds memory."""
WARMUP = 0.05
"""Share of the steps in which the learning rate rises linearly to its peak; from there it falls linearly to 0."""
LAYER_RATE = 0.1
"""Learning rate of the pretrained last layer, as a multiple of the head's, which starts from random weights."""
_WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class TrainingBudget:
    """How long and how a reward model is trained.

    Attributes:
        steps: optimizer steps of a fresh model.
        continue_steps: optimizer steps of a model that continues from the one of all pairs.
        batch_size: pairs in a step.
        learning_rate: peak learning rate.
    """

    steps: int
    continue_steps: int
    batch_size: int
    learning_rate: float

    @classmethod
    def of(cls, config: FixedActorConfig) -> TrainingBudget:
        """The budget of a configuration; what it leaves open is taken from BUDGETS for its `train`."""
        suits = BUDGETS[config.train]
        return cls(**{name: getattr(config, name) or value for name, value in vars(suits).items()})


BUDGETS = {
    # Fitted to convergence, on all pairs at once.
    "linear": TrainingBudget(steps=0, continue_steps=0, batch_size=0, learning_rate=0.0),
    "head": TrainingBudget(steps=300, continue_steps=150, batch_size=128, learning_rate=3e-4),
    "top": TrainingBudget(steps=300, continue_steps=150, batch_size=128, learning_rate=3e-4),
    "full": TrainingBudget(steps=1000, continue_steps=125, batch_size=16, learning_rate=5e-5),
}


class RewardModelTrainer(Protocol):
    """Trains one kind of reward model."""

    def train(self, pairs: pa.Table, start: Any | None, steps: int, seed: int) -> tuple[Any, CutPairs]:
        """Train on N pairs: a fresh model where `start` is None, else a copy of `start`, which stays as it is.

        Returns:
            The model, and how much of the pairs was not read.
        """

    def margins(self, model: Any, pairs: pa.Table) -> Floats:
        """Score of the chosen completion less that of the rejected one, for N pairs: float64 (N,)."""

    def save(self, model: Any, path: Path) -> None:
        """Save the model in a folder with a manifest, which appears only when it is whole."""

    def load(self, path: Path) -> Any:
        """The model that `save` wrote, verified by the caller."""


class FeatureTrainer:
    """Trains reward models that read stored features of every text, and for `top` token states as well."""

    def __init__(
        self, texts: PairTexts, features: Features, budget: TrainingBudget, states: TokenStates | None = None
    ) -> None:
        self._texts, self._features, self._states, self._budget = texts, features, states, budget

    def train(self, pairs: pa.Table, start: nn.Module | None, steps: int, seed: int) -> tuple[nn.Module, CutPairs]:
        """As `RewardModelTrainer.train`.

        Raises:
            TrainingError: a loss is not finite.
        """
        import torch
        from torch.nn import functional as F

        model = self._fresh(seed) if start is None else copy.deepcopy(start)
        rows_N2 = self._texts.rows(pairs)
        optimizer = torch.optim.AdamW(_groups(model, self._budget.learning_rate), weight_decay=0.01)
        warmup = max(1, round(WARMUP * steps))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / warmup, (steps - step) / max(1, steps - warmup))
        )
        batches = _batches(len(rows_N2), self._budget.batch_size, np.random.default_rng([seed, 1]))
        for step in range(steps):
            chosen_B, rejected_B = rows_N2[next(batches)].T
            loss = -F.logsigmoid(self._scores(model, chosen_B) - self._scores(model, rejected_B)).mean()
            if not torch.isfinite(loss):
                raise TrainingError(f"The loss of step {step} of {steps} is {loss.item()}. Lower --learning-rate.")
            optimizer.zero_grad()
            loss.backward()
            # 1 is what the Trainer of transformers clips to unless told otherwise, and so TRL with `full`.
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        if self._states is None:
            return model, {}
        return model, {"sequences": rows_N2.size, "truncated": int(self._states.cut_M[rows_N2].sum())}

    def margins(self, model: nn.Module, pairs: pa.Table) -> Floats:
        """As `RewardModelTrainer.margins`."""
        import torch

        # A completion can stand in several pairs; each is scored once.
        distinct, places_2N = np.unique(self._texts.rows(pairs).T, return_inverse=True)
        parts = [distinct[start : start + SCORED_AT_ONCE] for start in range(0, len(distinct), SCORED_AT_ONCE)]
        with torch.inference_mode():
            scores_M = np.concatenate([self._scores(model, rows_B).numpy().astype(np.float64) for rows_B in parts])
        chosen_N, rejected_N = scores_M[places_2N.reshape(2, -1)]
        return chosen_N - rejected_N  # type: ignore[no-any-return]

    def save(self, model: nn.Module, path: Path) -> None:
        """As `RewardModelTrainer.save`."""
        from safetensors.torch import save_file

        with atomic_folder(path) as folder:
            save_file(model.state_dict(), folder / _WEIGHTS)
            _ = seal(folder, {})

    def load(self, path: Path) -> nn.Module:
        """As `RewardModelTrainer.load`."""
        from safetensors.torch import load_file

        # The seed does not matter: all weights are replaced.
        model = self._fresh(0)
        model.load_state_dict(load_file(path / _WEIGHTS))
        return model

    def _fresh(self, seed: int) -> nn.Module:
        from frft.fixed_actor.networks import Head, TopLayerHead
        from frft.models import seeded

        with seeded(seed):
            width = self._features.width
            return Head(width) if self._states is None else TopLayerHead(width, self._states.last_layer)

    def _scores(self, model: nn.Module, rows_B: Indices) -> Tensor:
        import torch

        read = [self._features.of(rows_B), *(() if self._states is None else self._states.of(rows_B))]
        scores_B: Tensor = model(*map(torch.from_numpy, read))
        return scores_B


class WholeModelTrainer:
    """Fine-tunes all weights of a backbone (the embedder's transformer or another) by TRL's RewardTrainer."""

    def __init__(
        self, backbone: Path | str, budget: TrainingBudget, max_tokens: int, workdir: Path, progress: Progress
    ) -> None:
        self._backbone, self._budget, self._workdir, self._progress = backbone, budget, workdir, progress
        self._max_tokens = max_tokens

    def train(self, pairs: pa.Table, start: RewardModel | None, steps: int, seed: int) -> tuple[RewardModel, CutPairs]:
        """As `RewardModelTrainer.train`."""
        from frft.reward import train_reward_model

        training = TrainConfig(
            max_steps=steps,
            learning_rate=self._budget.learning_rate,
            per_device_train_batch_size=self._budget.batch_size,
            max_length=self._max_tokens,
        )
        base: RewardModel | Path | str = self._backbone if start is None else start
        config = RewardModelConfig(train=training)
        model, report = train_reward_model(
            base, pairs, config, seed=seed, workdir=self._workdir, progress=self._progress
        )
        return model, {"identical": report.identical, **report.truncated.as_dict()}

    def margins(self, model: RewardModel, pairs: pa.Table) -> Floats:
        """As `RewardModelTrainer.margins`."""
        from frft.reward import score_margins

        return score_margins(model.raw_scores, pairs)

    def save(self, model: RewardModel, path: Path) -> None:
        """As `RewardModelTrainer.save`."""
        with atomic_folder(path) as folder:
            model.save(folder)

    def load(self, path: Path) -> RewardModel:
        """As `RewardModelTrainer.load`."""
        from frft.reward import RewardModel

        return RewardModel.load(path, seed=0)


def make_head_trainer(
    config: FixedActorConfig, tables: list[pa.Table], vectors: Any, out: Path, progress: Progress = SILENT
) -> RewardModelTrainer:
    """The trainer that `config.train` names (`linear`, `head`, `top` or `full`), for all texts of these tables of
    pairs."""
    budget = TrainingBudget.of(config)
    if config.train == "full":
        backbone = config.backbone or as_backbone(vectors.embedder, out / "backbone")
        return WholeModelTrainer(backbone, budget, config.max_tokens, out / "logs", progress)
    texts = PairTexts(tables)
    features = Features(texts, vectors, progress)
    if config.train == "linear":
        return LinearTrainer(texts, features)
    if config.train == "head":
        return FeatureTrainer(texts, features, budget)
    states = TokenStates(texts, vectors.embedder, config.max_tokens, out / "states", progress)
    progress.say(f"{states.cut_M.sum():,} of {len(texts):,} texts are cut to {config.max_tokens} tokens")
    return FeatureTrainer(texts, features, budget, states)


def as_backbone(embedder: Embedder, path: Path) -> Path:
    """A folder with the embedder's transformer as a backbone for reward models, which end texts with an EOS token.

    Raises:
        ModelError: the embedder holds no transformer.
    """
    if path.exists():
        return path
    model, tokenizer = transformer_of(embedder)
    # BERT's tokenizers have no EOS token; SEP is what their texts end with.
    tokenizer.eos_token = tokenizer.eos_token or tokenizer.sep_token
    with atomic_folder(path) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        _ = seal(folder, {})
    return path


def _groups(model: nn.Module, learning_rate: float) -> list[dict[str, Any]]:
    """The optimizer's parameter groups: the head at the full learning rate, a pretrained layer at LAYER_RATE of it."""
    named = list(model.named_parameters())
    return [
        {"params": [each for name, each in named if name.startswith("layer.") == trained_before], "lr": rate}
        for trained_before, rate in ((False, learning_rate), (True, LAYER_RATE * learning_rate))
        if any(name.startswith("layer.") == trained_before for name, _ in named)
    ]


def _batches(count: int, size: int, rng: np.random.Generator) -> Iterator[Indices]:
    """Batches of row numbers without end, every pass over the `count` pairs in a new order.

    What is left at the end of a pass and does not fill a batch waits for a later pass; fewer pairs than `size` are one
    batch.
    """
    while True:
        order = rng.permutation(count)
        for start in range(0, max(1, count - size + 1), size):
            yield order[start : start + size]

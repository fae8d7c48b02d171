"""A Bradley-Terry loss that knows how often each label is wrong.

If a labeller exchanges the two sides of a pair with probability e, whatever the pair, the label that is seen has the
probability

    P(chosen over rejected) = (1 - e) sigmoid(m) + e sigmoid(-m),      m = r(chosen) - r(rejected) - margin,

and its negative logarithm is the loss: the forward correction of Patrini et al. (1609.03683, section 4.2) for two
classes. At e = 0 it is the plain loss. It is bounded by -log e, so that no exchanged label pulls without limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from frft.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

COLUMN = "label_error"


def corrected_loss(margins_B: Tensor, errors_B: Tensor) -> Tensor:
    """Loss of each of B pairs in nats, (B,).

    Args:
        margins_B: m of each pair.
        errors_B: e of each pair, from 0 to below 1/2.
    """
    import torch
    from torch.nn.functional import logsigmoid

    right_B = torch.log1p(-errors_B) + logsigmoid(margins_B)
    # Where e is 0 this is minus infinity, of which logaddexp takes nothing, nor has it a gradient.
    wrong_B = torch.log(errors_B) + logsigmoid(-margins_B)
    return -torch.logaddexp(right_B, wrong_B)


def check_errors(errors: Sequence[float], pairs: int) -> None:
    """Check that there is one error rate for each pair.

    Raises:
        DataError: there are more or fewer, or one is not from 0 to below 1/2.
    """
    if len(errors) != pairs:
        raise DataError(f"There are {len(errors)} error rates of labels, but {pairs} pairs; give one for each.")
    for row, error in enumerate(errors):
        if not 0 <= error < 0.5:
            raise DataError(
                f"Row {row} (counting from 0): the labeller's error rate is {error!r}; it must be at least 0 and below "
                "0.5. Labels that are wrong half of the time say nothing."
            )


def with_label_errors(trainer: type) -> type:
    """A subclass of TRL's RewardTrainer whose loss reads the column `label_error`, (N,), of its examples."""

    class Trainer(trainer):  # type: ignore[misc]
        data_collator: Any
        _signature_columns: list[str]

        def __init__(self, *arguments: Any, **settings: Any) -> None:
            super().__init__(*arguments, **settings)
            collate = self.data_collator

            def with_errors(examples: list[dict[str, Any]]) -> dict[str, Any]:
                import torch

                errors = [example[COLUMN] for example in examples]
                return {**collate(examples), COLUMN: torch.tensor(errors, dtype=torch.float)}

            self.data_collator = with_errors

        def _set_signature_columns_if_needed(self) -> None:
            super()._set_signature_columns_if_needed()
            if COLUMN not in self._signature_columns:
                self._signature_columns = [*self._signature_columns, COLUMN]

        def compute_loss(
            self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            import torch
            from torch.nn.functional import logsigmoid

            errors_B, margin = inputs.pop(COLUMN), inputs.get("margin", 0.0)
            plain, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
            chosen_B, rejected_B = torch.chunk(outputs.logits.squeeze(-1), 2)
            margins_B = chosen_B - rejected_B - margin
            # Only the Bradley-Terry term changes; centering and the trainer's figures stay as they are.
            loss = plain + (corrected_loss(margins_B, errors_B) + logsigmoid(margins_B)).mean()
            return (loss, outputs) if return_outputs else loss

    return Trainer

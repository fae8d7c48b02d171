"""A key-value cache in buffers allocated at full length, so that no step copies the keys and values of earlier ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig


class Cursor:
    """Where the current forward pass writes into the buffers; shared by all layers.

    Attributes:
        batch, capacity: number of sequences in the buffers, and number of slots (tokens) of each.
        rows: the contiguous range of sequences that this pass reads.
        first, last: it fills their slots `first` up to, not including, `last`.
        context: slots before `first` that its tokens can attend to: all of them, or 0 while prompts are read.
    """

    def __init__(self, batch: int, capacity: int) -> None:
        self.batch, self.capacity = batch, capacity
        self.rows, self.first, self.last, self.context = slice(batch), 0, 0, 0

    def to_prompts(self, rows: slice, first: int, last: int) -> None:
        """Move to the prompts of some rows, in slots `first` to `last`."""
        self.rows, self.first, self.last, self.context = rows, first, last, 0

    def to_next_slot(self) -> None:
        """Move to the next token of every row."""
        self.rows, self.first, self.last, self.context = slice(self.batch), self.last, self.last + 1, self.last


class BufferLayer(CacheLayerMixin):  # type: ignore[misc]
    """One layer's keys and values, (B, heads, capacity, D) each, allocated at the first update.

    A sliding-window layer also keeps tokens that have left its window; the model's mask hides it.
    """

    def __init__(self, cursor: Cursor, *, is_sliding: bool) -> None:
        super().__init__()
        self.cursor, self.is_sliding = cursor, is_sliding

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocate the buffers, with the shape, type and device of these keys and values."""
        batch, capacity = self.cursor.batch, self.cursor.capacity
        self.keys, self.values = (
            states.new_empty((batch, states.shape[1], capacity, states.shape[3]))
            for states in (key_states, value_states)
        )
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Store the new keys and values; returns all those that the new tokens can attend to."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        cursor = self.cursor
        for buffer, states in ((self.keys, key_states), (self.values, value_states)):
            buffer[cursor.rows, :, cursor.first : cursor.last] = states
            if not cursor.context:
                # The padding on the left is masked, but must be finite all the same: 0 * inf is NaN.
                buffer[cursor.rows, :, : cursor.first] = 0
        if not cursor.context:
            return key_states, value_states
        return self.keys[:, :, : cursor.last], self.values[:, :, : cursor.last]

    def keep(self, rows_b: Tensor) -> None:
        """Keep only the sequences with these indices, (b,), and free the memory of the others."""
        filled = self.cursor.last
        for name in ("keys", "values"):
            old = getattr(self, name)
            new = old.new_empty((len(rows_b), *old.shape[1:]))
            new[:, :, :filled] = old[rows_b, :, :filled]
            setattr(self, name, new)

    def get_seq_length(self) -> int:
        """Number of slots before the new tokens."""
        return self.cursor.context

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Number of slots that an attention mask covers, and the offset of the first one."""
        return self.cursor.context + query_length, 0

    def get_max_length(self) -> int:
        """Number of slots of a sequence."""
        return self.cursor.capacity


class BufferCache(Cache):  # type: ignore[misc]
    """The cache of a whole model: a `BufferLayer` for each layer.

    Each sequence takes 2 * layers * key-value heads * D * capacity numbers."""

    def __init__(self, config: PreTrainedConfig, batch: int, capacity: int) -> None:
        self.cursor = Cursor(batch, capacity)
        sliding = [isinstance(layer, DynamicSlidingWindowLayer) for layer in DynamicCache(config=config).layers]
        super().__init__(layers=[BufferLayer(self.cursor, is_sliding=is_sliding) for is_sliding in sliding])

    def keep(self, rows_b: Tensor) -> None:
        """Keep only the sequences with these indices, (b,)."""
        for layer in self.layers:
            layer.keep(rows_b)
        self.cursor.batch = len(rows_b)


def can_buffer(config: PreTrainedConfig) -> bool:
    """Whether the model's only state is keys and values, of full or of sliding-window attention."""
    kinds = {type(layer) for layer in DynamicCache(config=config).layers}
    chunked = getattr(config.get_text_config(), "attention_chunk_size", None) is not None
    return bool(kinds) and kinds <= {DynamicLayer, DynamicSlidingWindowLayer} and not chunked

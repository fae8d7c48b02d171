"""Keys and values of a batch, in buffers as long as they will ever be: no step copies what the last one kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig


class Cursor:
    """Where the forward pass under way writes, one for all layers.

    Attributes:
        batch, capacity: sequences in the buffers, and slots of each.
        rows: the sequences that this pass is about, neighbours.
        first, last: it fills their slots from `first` up to, not including, `last`.
        context: how many slots before `first` its tokens can see: all, or none where it reads prompts.
    """

    def __init__(self, batch: int, capacity: int) -> None:
        self.batch, self.capacity = batch, capacity
        self.rows, self.first, self.last, self.context = slice(batch), 0, 0, 0

    def to_prompts(self, rows: slice, first: int, last: int) -> None:
        """Go to the prompts of some rows."""
        self.rows, self.first, self.last, self.context = rows, first, last, 0

    def to_next_slot(self) -> None:
        """Go to one further token of every row."""
        self.rows, self.first, self.last, self.context = slice(self.batch), self.last, self.last + 1, self.last


class BufferLayer(CacheLayerMixin):  # type: ignore[misc]
    """One layer's keys and values, (B, heads, capacity, D) each, allocated when the first ones come.

    A sliding-window layer keeps what has left its window as well; the model's mask hides it.
    """

    def __init__(self, cursor: Cursor, *, is_sliding: bool) -> None:
        super().__init__()
        self.cursor, self.is_sliding = cursor, is_sliding

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocate what such keys and values need."""
        batch, capacity = self.cursor.batch, self.cursor.capacity
        self.keys, self.values = (
            states.new_empty((batch, states.shape[1], capacity, states.shape[3]))
            for states in (key_states, value_states)
        )
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Keep the new ones; returns all that the new tokens can see."""
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
        """Drop all sequences but these, and the memory that they took."""
        filled = self.cursor.last
        for name in ("keys", "values"):
            old = getattr(self, name)
            new = old.new_empty((len(rows_b), *old.shape[1:]))
            new[:, :, :filled] = old[rows_b, :, :filled]
            setattr(self, name, new)

    def get_seq_length(self) -> int:
        """How many slots the new tokens come after."""
        return self.cursor.context

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """How many slots a mask covers, and which is the first."""
        return self.cursor.context + query_length, 0

    def get_max_length(self) -> int:
        """How many slots there are."""
        return self.cursor.capacity


class BufferCache(Cache):  # type: ignore[misc]
    """The layers of a model. Each sequence takes 2 * layers * key-value heads * D * capacity numbers."""

    def __init__(self, config: PreTrainedConfig, batch: int, capacity: int) -> None:
        self.cursor = Cursor(batch, capacity)
        sliding = [isinstance(layer, DynamicSlidingWindowLayer) for layer in DynamicCache(config=config).layers]
        super().__init__(layers=[BufferLayer(self.cursor, is_sliding=is_sliding) for is_sliding in sliding])

    def keep(self, rows_b: Tensor) -> None:
        """Drop all sequences but these."""
        for layer in self.layers:
            layer.keep(rows_b)
        self.cursor.batch = len(rows_b)


def can_buffer(config: PreTrainedConfig) -> bool:
    """Whether keys and values, of full or of sliding-window attention, are all that such a model remembers."""
    kinds = {type(layer) for layer in DynamicCache(config=config).layers}
    chunked = getattr(config.get_text_config(), "attention_chunk_size", None) is not None
    return bool(kinds) and kinds <= {DynamicLayer, DynamicSlidingWindowLayer} and not chunked

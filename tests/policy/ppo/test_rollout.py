"""How a batch is cut into forward passes."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frft.policy.ppo.rollout import forward_batches

LENGTHS = st.integers(1, 9)


@settings(deadline=None)
@given(
    st.lists(st.tuples(LENGTHS, LENGTHS), min_size=1, max_size=12),
    st.integers(1, 3),
    st.integers(1, 60),
    st.randoms(use_true_random=False),
)
def test_every_sequence_is_in_one_batch_of_one_process(pairs, processes, max_tokens, random):
    pairs = pairs * processes
    rows = random.sample(range(len(pairs)), len(pairs) // 2 // processes * processes or processes)
    prompts = [[10 * row + 1] * prompt for row, (prompt, _) in enumerate(pairs)]
    width = max(length for _, length in pairs)
    lengths = torch.tensor([length for _, length in pairs])
    mask = torch.arange(width)[None] < lengths[:, None]
    tokens = torch.arange(len(pairs))[:, None].expand(-1, width) * 10 + 2
    shares = [
        list(forward_batches(prompts, tokens, mask, rows, max_tokens, 0, (index, processes)))
        for index in range(processes)
    ]
    assert len({len(share) for share in shares}) == 1
    batches = [batch for share in shares for batch in share]
    assert sorted(row for batch in batches for row in batch.rows) == sorted(rows)
    for batch in batches:
        assert batch.ids.numel() <= max_tokens or len(batch.rows) == 1
        for row, ids, kept, positions in zip(batch.rows, batch.ids, batch.mask, batch.positions, strict=True):
            expected = prompts[row] + [10 * row + 2] * pairs[row][1]
            assert ids[kept.bool()].tolist() == expected
            assert positions[kept.bool()].tolist() == list(range(len(expected)))
            assert ids[~kept.bool()].eq(0).all()
            assert kept[batch.prompt_width - 1] == kept[batch.prompt_width] == 1


def test_sequences_of_similar_length_go_together():
    lengths = [9, 1, 8, 2, 9, 1]
    mask = torch.ones(6, 1, dtype=torch.bool)
    batches = list(forward_batches([[1] * n for n in lengths], torch.ones(6, 1, dtype=int), mask, range(6), 22, 0))
    assert [batch.rows for batch in batches] == [[1, 5, 3], [2, 0], [4]]

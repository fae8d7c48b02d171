"""A stage says everything of itself, or it is none."""

from __future__ import annotations

import pytest

from frft.stages import Stage


class Wordcount(Stage):
    kind = "wordcount"

    def inputs(self):
        return {}

    def build(self, folder):
        return {}

    def flops(self, workload):
        return 1.0

    def memory(self, workload):
        return 0.0


@pytest.mark.parametrize("missing", ["kind", "inputs", "build", "flops", "memory"])
def test_a_stage_that_leaves_something_out_cannot_be_made(missing):
    assert Wordcount().kind == "wordcount"
    parts = {name: value for name, value in vars(Wordcount).items() if name[0] != "_" and name != missing}
    incomplete = type("Incomplete", (Stage,), parts)
    with pytest.raises(TypeError, match=missing):
        incomplete()


def test_it_starts_anew_is_built_by_one_process_and_needs_no_embedder_unless_it_says_so():
    stage = Wordcount()
    assert (stage.scratch, stage.peers.is_main, stage.embeds()) == (None, True, None)

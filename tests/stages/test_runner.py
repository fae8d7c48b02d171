"""Stages become artifacts of a store, once."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field

import pytest

from frft.stages import Stage, StageRunner
from frft.stopping import StoppedBySignal, ends_in_order, saves_before_it_ends
from frft.store import ALONE, ArtifactStore, Peers


class Peer:
    """A process whose peers are all in step with it; counts how often they were asked."""

    is_main = True

    def __init__(self):
        self.agreed = 0

    def agree(self, value):
        self.agreed += 1
        return value


@dataclass(frozen=True)
class Letters(Stage):
    text: str
    together: Peers = ALONE
    built: list[str] = field(default_factory=list)

    kind = "letters"
    scratch = "kept-*"

    @property
    def peers(self):
        return self.together

    def inputs(self):
        return {"text": self.text}

    def build(self, folder):
        self.built.append(self.text)
        (folder / "text.txt").write_text(self.text)
        (folder / "kept-1").mkdir()
        return {"letters": len(self.text)}

    def flops(self, workload):
        return 0.0

    def memory(self, workload):
        return 0.0


def test_a_stage_is_built_once_and_found_by_its_inputs(tmp_path):
    stage = Letters("abc", built=(built := []))
    made = StageRunner(ArtifactStore(tmp_path))(stage)
    assert made.path.name.startswith("letters-")
    assert made.info == {"letters": 3}
    assert [file.name for file in made.path.glob("*.txt")] == ["text.txt"]
    assert not list(made.path.glob("kept-*")), "what a stopped build goes on from is no part of the artifact"
    again = StageRunner(ArtifactStore(tmp_path))
    assert again(Letters("abc", built=built)) == made
    assert again(Letters("abcd", built=built)) != made
    assert built == ["abc", "abcd"]


def test_peers_of_a_stage_build_it_together(tmp_path):
    peer = Peer()
    StageRunner(ArtifactStore(tmp_path))(Letters("abc", peer))
    assert peer.agreed


def test_a_signal_during_the_last_step_of_a_training_ends_the_run_when_the_stage_is_finished(tmp_path):
    class Told(Letters):
        def build(self, folder):
            with saves_before_it_ends():
                signal.raise_signal(signal.SIGTERM)
            return super().build(folder)

    run = StageRunner(ArtifactStore(tmp_path))
    with ends_in_order(), pytest.raises(StoppedBySignal):
        run(Told("abc"))
    assert run(Letters("abc", built=(built := []))).path.is_dir()
    assert built == []

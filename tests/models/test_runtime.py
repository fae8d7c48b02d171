"""Threads, seeds, and quiet."""

from __future__ import annotations

import hashlib
import logging
import os
import random
import warnings
from contextlib import suppress

import numpy as np

from frft.models import choose_threads, quiet, seed_for, seeded, use_threads


def test_seeds_are_stable_and_differ_by_name():
    # Written down, so that a change of the derivation (and with it of every run) is noticed.
    assert seed_for(0, "sft") == int(hashlib.sha256(b"0/sft").hexdigest()[:8], 16) == 2441555740
    seeds = {seed_for(*names) for names in [(0, "sft"), (1, "sft"), (0, "ppo"), (0, "sft", 1), (0, "sft", "1x"), (0,)]}
    assert len(seeds) == 6
    assert all(0 <= seed < 2**32 for seed in seeds)


def draws():
    import torch

    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_seeded_blocks_repeat_and_restore_what_was_there():
    import torch

    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    expected = draws(), draws()
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    first = draws()
    with seeded(1):
        inside = draws()
    with suppress(KeyError), seeded(1):
        assert draws() == inside
        raise KeyError
    assert (first, draws()) == expected


def test_threads_asked_for_or_chosen_by_size():
    assert choose_threads(10**9, 3) == 3
    assert choose_threads(3_000_000, None) == 1
    assert choose_threads(50_000_000, None) == os.cpu_count()


def test_use_threads_sets_torch():
    import torch

    before = torch.get_num_threads()
    try:
        use_threads(2)
        assert torch.get_num_threads() == 2
    finally:
        use_threads(before)


def test_quiet_silences_the_libraries_and_restores_them(capfd):
    from transformers.utils import logging as transformers_logging

    names = ("transformers", "trl", "accelerate", "peft")

    def settings():
        levels = [logging.getLogger(name).level for name in names]
        return levels, transformers_logging.is_progress_bar_enabled(), list(warnings.filters)

    before = settings()
    with suppress(KeyError), quiet():
        for name in names:
            logging.getLogger(name).warning("chatter")
            logging.getLogger(f"{name}.deep.inside").warning("chatter")
        warnings.warn("chatter", UserWarning, stacklevel=1)
        list(transformers_logging.tqdm(range(3), desc="chatter"))
        raise KeyError
    assert capfd.readouterr() == ("", "")
    assert settings() == before

"""The public surface: what is promised is there, and importing it costs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import frft


def test_the_exported_members_are_these_and_all_of_them_are_there():
    expected = """__version__ AlignedReward FrftError PPOConfig PPOTrainer PolicySamples RefreshConfig RewardModel
        RunConfig Selection SelectionConfig World evaluate_reward_model generate load_config load_pool run select
        train_reward_model win_rate"""
    assert frft.__all__ == expected.split()
    for name in frft.__all__:
        assert getattr(frft, name).__doc__
    assert dir(frft) == sorted(frft.__all__)


def test_an_unknown_member_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'AlignReward'"):
        _ = frft.AlignReward


def test_importing_the_package_imports_none_of_its_rooms():
    code = "import frft, sys; print([name for name in sys.modules if name.startswith('frft.')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"

from __future__ import annotations

import pytest


@pytest.fixture
def judge(endpoint, tmp_path):
    """Makes judges that ask the endpoint and keep its replies in tmp_path/verdicts.jsonl."""
    from frft.evaluation import ChatJudge

    def make(**more):
        return ChatJudge("m", base_url=endpoint.url, journal=tmp_path / "verdicts.jsonl", **more)

    return make

"""Measured cases of two opposed domains."""

from __future__ import annotations

import pytest

from frft.fixed_actor.cases import domain_cases, run_cases


@pytest.fixture(scope="session")
def planned(pairs_of_domains):
    return list(domain_cases("made up", pairs_of_domains, ["cooking", "computers"], [0], folds=3))


@pytest.fixture(scope="session")
def measured(planned, minilm_vectors, tmp_path_factory):
    out = tmp_path_factory.mktemp("cases")
    run_cases(planned, minilm_vectors, out)
    return out

"""Worlds with a perfect embedder of style, and made-up evidence."""

from __future__ import annotations

import numpy as np
import pytest

from frft.advice.evidence import Evidence, MeasuredEvidence
from frft.advice.model import KnownExperiment
from frft.config.sections import WorldConfig
from frft.worlds import World


class StyleVectors:
    """Stands where a `VectorCache` does: a text's vector is its style counts and a constant, of length 1."""

    def get(self, texts, progress=None):
        counts_ND = np.column_stack([World().style(texts), np.ones(len(texts))]).astype(np.float32)
        return counts_ND / np.linalg.norm(counts_ND, axis=1, keepdims=True)


@pytest.fixture(scope="session")
def style_vectors():
    return StyleVectors()


@pytest.fixture(scope="session")
def make_world():
    """A small world, its pool, and what a policy near its first source writes."""

    def make(**dials):
        world = World(WorldConfig(**{"pool_size": 3000, "categories": 6, "lambda_": 3, **dials}))
        written = world.demonstrations(0, 400)
        return world.pairs(0, world.config.pool_size), written["prompt"].to_pylist(), written["completion"].to_pylist()

    return make


@pytest.fixture
def make_evidence():
    """Evidence with these three inputs of the predictor."""

    def make(auc=0.8, locality=0.0, agreement=0.0, **more):
        values = {
            "pairs": 4000,
            "samples": 256,
            "auc": auc,
            "near_pairs": 500,
            "coverage": 0.9,
            "coverage_expected": 0.97,
            "near_accuracy": MeasuredEvidence(0.6 + agreement, 0.02),
            "near_log_loss": MeasuredEvidence(0.65, 0.01),
            "far_accuracy": MeasuredEvidence(0.6, 0.01),
            "far_log_loss": MeasuredEvidence(0.66, 0.01),
            "locality": locality if isinstance(locality, MeasuredEvidence) else MeasuredEvidence(locality, 0.005),
            "locality_accuracy": MeasuredEvidence(0.04, 0.01),
            "transfer_gap": MeasuredEvidence(0.02, 0.02),
            "correction": 1.0,
            "annotator": None,
        }
        return Evidence(**{**values, **more})

    return make


@pytest.fixture
def make_cases(make_evidence):
    """Cases in worlds of 8 seeds, whose gain is `slope` times the agreement of the world, luck of the seed, and noise.

    A seed is known by its AUC.
    """

    def make(slope, worlds=8, noise=0.3, seed=0, luck=0.0):
        rng = np.random.default_rng(seed)
        cases, lucks_8, aucs_8 = [], luck * rng.permutation(np.linspace(-1, 1, 8)), rng.uniform(0.6, 0.9, 8)
        for world in range(worlds):
            agreement = rng.normal(0, 0.1)
            for n in range(8):
                found = make_evidence(
                    auc=aucs_8[n],
                    locality=rng.normal(0.01, 0.01),
                    agreement=agreement + rng.normal(0, 0.02),
                )
                gain = slope * agreement + lucks_8[n] + rng.normal(0, noise)
                cases.append(KnownExperiment(f"w{world}", n, found, gain))
        return cases

    return make

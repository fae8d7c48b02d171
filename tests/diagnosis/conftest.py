"""Small reward models as other software saves them, and what a check of one finds."""

from __future__ import annotations

import json

import pytest

from frft.diagnosis.fitness import findings_of, fit_verdict
from frft.diagnosis.reward_check import measure_reward_model
from frft.models import quiet, seeded
from frft.reward import RewardModel

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PAIRS = {
    "prompt": [f"\n\nHuman: How do I bake {n // 2} loaves?\n\nAssistant:" for n in range(24)],
    "chosen": [" Mix" + " flour" * (n % 4) + f" for {n}." for n in range(24)],
    "rejected": [" No" + " never" * (n % 3) + f" {n}!" for n in range(24)],
}
SAMPLES = PAIRS["prompt"] * 2, PAIRS["chosen"] + PAIRS["rejected"]


@pytest.fixture
def saved(tmp_path):
    """Saves a random classifier of an architecture, with a tokenizer that has a template or none."""
    import torch
    import transformers as t

    def save(name, tokenizer, *, template=None, kind="llama", change=None, **settings):
        small = {"vocab_size": len(tokenizer), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
        small |= {"max_position_embeddings": 512, "num_labels": 1, "bos_token_id": 0, "eos_token_id": 0}
        small |= {"pad_token_id": tokenizer.pad_token_id, **settings}
        with quiet(), seeded(0):
            if kind == "llama":
                model = t.LlamaForSequenceClassification(t.LlamaConfig(intermediate_size=32, **small))
            else:
                model = t.GPT2ForSequenceClassification(t.GPT2Config(**small))
            # As they are drawn, all texts score about the same.
            for weight in model.parameters():
                torch.nn.init.normal_(weight, std=0.3)
            if change is not None:
                change(model)
            model.save_pretrained(tmp_path / name)
            tokenizer.save_pretrained(tmp_path / name)
        settings_file = tmp_path / name / "tokenizer_config.json"
        settings_file.write_text(json.dumps({**json.loads(settings_file.read_text()), "model_max_length": 512}))
        if template is not None:
            (tmp_path / name / "chat_template.jinja").write_text(template)
        return tmp_path / name

    return save


def check(folder, *, choice="auto", trained=None, dtype="float32", **more):
    scorer = RewardModel.load(folder, seed=0, allow_fresh_head=False, chat_template=choice, dtype=dtype)
    found = measure_reward_model(folder, scorer, trained, **more)
    json.dumps(found.as_dict(), allow_nan=False)
    findings = findings_of(found)
    return found, {each.name: each for each in findings}, fit_verdict(findings)


def constant(model):
    import torch

    with torch.no_grad():
        model.score.weight.zero_()

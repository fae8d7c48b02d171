"""Reward models as other software saves them: read exactly, or refused by name."""

from __future__ import annotations

import json
import shutil

import pytest

from frft.errors import ModelError
from frft.models import load_tokenizer, load_with_its_head, quiet, save_model
from frft.models.classifiers import refuse_archives
from frft.reward import RewardModel

PROMPTS = ["\n\nHuman: How do I bake bread?\n\nAssistant:", "Why is the sky blue?", "Name three colors."]
COMPLETIONS = [" Mix flour and water.", "Air scatters blue light.", "Red, green and blue."]


@pytest.fixture
def load(tiny_tokenizer):
    """Loads for scoring, where no head may be drawn."""

    def loaded(folder, **more):
        return load_with_its_head(folder, load_tokenizer(folder), seed=0, **{"allow_fresh_head": False, **more})

    return loaded


def random_model(kind, seed=0, **settings):
    import torch

    with quiet(), torch.random.fork_rng():
        torch.manual_seed(seed)
        model = kind(settings.pop("config")(**settings)).eval()
        # As they are drawn, biases are 0, which would hide that one is lost, and all texts score about the same.
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.3)
    return model


def classifier(architecture, outputs, tokenizer):
    """A random classifier, and whether the tokenizer ends texts by SEP."""
    import transformers as t

    small = {"vocab_size": len(tokenizer), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    small |= {"max_position_embeddings": 128, "num_labels": outputs, "pad_token_id": tokenizer.pad_token_id}
    wide = {**small, "intermediate_size": 32}
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    kinds = {
        "gpt2": (t.GPT2ForSequenceClassification, {"config": t.GPT2Config, **small, **ends}),
        "llama": (t.LlamaForSequenceClassification, {"config": t.LlamaConfig, **wide, **ends}),
        "bert": (t.BertForSequenceClassification, {"config": t.BertConfig, **wide}),
        "roberta": (t.RobertaForSequenceClassification, {"config": t.RobertaConfig, **wide, **ends}),
        "deberta": (t.DebertaV2ForSequenceClassification, {"config": t.DebertaV2Config, **wide}),
        "distilbert": (
            t.DistilBertForSequenceClassification,
            {"config": t.DistilBertConfig, "vocab_size": len(tokenizer), "dim": 16, "hidden_dim": 32, "n_layers": 2}
            | {"n_heads": 2, "num_labels": outputs, "pad_token_id": tokenizer.pad_token_id},
        ),
    }
    kind, settings = kinds[architecture]
    return random_model(kind, seed=outputs, **settings)


@pytest.fixture(scope="module")
def bert_tokenizer():
    """Words between CLS and SEP, and no EOS."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    known = "[PAD] [UNK] [CLS] [SEP] Human : Assistant Mix flour and water . Why is the sky ?"
    words = {word: n for n, word in enumerate(known.split())}
    inner = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=128, **names)


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("architecture", ["gpt2", "llama", "bert", "roberta", "deberta", "distilbert"])
def test_a_classifier_of_one_output_or_two_scores_as_its_own_forward_pass(
    architecture, outputs, tiny_tokenizer, bert_tokenizer, tmp_path
):
    import torch
    from transformers import AutoModelForSequenceClassification

    tokenizer = bert_tokenizer if architecture in ("bert", "deberta", "distilbert") else tiny_tokenizer
    model = classifier(architecture, outputs, tokenizer)
    save_model(model, tokenizer, tmp_path / "foreign")
    ours = RewardModel.load(tmp_path / "foreign", seed=0, allow_fresh_head=False)
    with quiet():
        theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "foreign").eval()
    end = tokenizer.sep_token_id if tokenizer.eos_token_id is None else tokenizer.eos_token_id
    wanted = []
    for prompt, completion in zip(PROMPTS, COMPLETIONS, strict=True):
        parts = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, completion)]
        begin = [] if tokenizer.cls_token_id is None else [tokenizer.cls_token_id]
        between = [] if tokenizer.sep_token_id is None else [tokenizer.sep_token_id]
        with torch.no_grad():
            logits = theirs(input_ids=torch.tensor([[*begin, *parts[0], *between, *parts[1], end]])).logits[0]
        wanted.append(float(logits[0] if outputs == 1 else logits[1] - logits[0]))
    assert max(wanted) - min(wanted) > 1e-4
    assert ours(PROMPTS, COMPLETIONS) == pytest.approx(wanted, abs=1e-5)
    assert ours.head.kind == ("saved" if outputs == 1 else "difference")
    # What is saved is a classifier with one output, for everybody.
    ours.save(tmp_path / "saved")
    again = RewardModel.load(tmp_path / "saved", seed=1)
    assert (again.model.config.num_labels, again.head.kind) == (1, "saved")
    assert again(PROMPTS, COMPLETIONS) == ours(PROMPTS, COMPLETIONS)


def test_of_two_outputs_the_names_are_said_and_lower_precision_is_rounded_once(tiny_tokenizer, tmp_path, load):
    import torch

    model = classifier("llama", 2, tiny_tokenizer)
    model.config.id2label = {0: "BAD", 1: "GOOD"}
    with torch.no_grad():
        model.score.weight[:] = torch.tensor([[1.0, 1.0], [1.0078125, 3.0]]).repeat(1, 8)
    save_model(model.to(torch.bfloat16), tiny_tokenizer, tmp_path / "two")
    loaded, head = load(tmp_path / "two", dtype="bfloat16")
    assert head.described == "one output, made of two: the logit of GOOD (1) less that of BAD (0)"
    assert loaded.score.weight.dtype == torch.bfloat16
    assert loaded.score.weight[0, :2].tolist() == [0.0078125, 2.0]


def test_a_classifier_with_two_outputs_is_trained_from_its_own_head_and_a_language_model_from_a_new_one(
    tiny_tokenizer, tiny_lm_folder, tmp_path, load
):
    save_model(classifier("llama", 2, tiny_tokenizer), tiny_tokenizer, tmp_path / "two")
    scoring, training = (load(tmp_path / "two", allow_fresh_head=fresh)[0].score.weight for fresh in (False, True))
    assert scoring.equal(training)
    # Every configuration says two outputs by default; this one's folder has no head at all.
    assert json.loads((tiny_lm_folder / "config.json").read_text()).get("num_labels") is None
    assert load(tiny_lm_folder, allow_fresh_head=True)[1].described.startswith("one output, drawn at random (seed 0)")


def test_adapters_may_bring_a_head_of_two_outputs(tiny_lm_folder, tmp_path):
    import peft
    import torch
    from transformers import AutoModelForSequenceClassification

    with quiet():
        model = AutoModelForSequenceClassification.from_pretrained(tiny_lm_folder, num_labels=2)
    settings = {"target_modules": ["c_attn"], "fan_in_fan_out": True, "init_lora_weights": False}
    config = peft.LoraConfig(task_type="SEQ_CLS", r=2, **settings)
    model = peft.get_peft_model(model, config).eval()
    model.save_pretrained(tmp_path / "adapters")
    ours = RewardModel.load(tmp_path / "adapters", seed=0, allow_fresh_head=False)
    (pair,) = ours.encoder.encode(["Why?"], [" So."])
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([pair.ids])).logits[0]
    assert ours(["Why?"], [" So."]) == pytest.approx([float(logits[1] - logits[0])], abs=1e-6)
    assert ours.head.kind == "difference"


@pytest.mark.parametrize("prefix", ["value_head", "score"])
@pytest.mark.parametrize("name", ["RewardModel", "LLMForSequenceRegression"])
def test_what_openrlhf_saves_is_read_at_the_last_token(prefix, name, tiny_tokenizer, tmp_path):
    import torch
    from transformers import LlamaConfig, LlamaModel, LlamaPreTrainedModel

    def build(self, config):
        LlamaPreTrainedModel.__init__(self, config)
        self.model = LlamaModel(config)
        setattr(self, prefix, torch.nn.Linear(config.hidden_size, 1, bias=False))

    def forward(self, input_ids, attention_mask):
        states = self.model(input_ids, attention_mask=attention_mask).last_hidden_state
        values = getattr(self, prefix)(states).squeeze(-1)
        return values.gather(1, attention_mask.sum(1, keepdim=True) - 1).squeeze(1)

    # The class, its name and its weights' names are as there; a pad token that texts end with is common there.
    kind = type(name, (LlamaPreTrainedModel,), {"__init__": build, "forward": forward})
    small = {"vocab_size": 320, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    end = tiny_tokenizer.eos_token_id
    small |= {"num_attention_heads": 2, "bos_token_id": end, "eos_token_id": end, "pad_token_id": end}
    theirs = random_model(kind, seed=1, config=LlamaConfig, max_position_embeddings=128, **small)
    torch.nn.init.normal_(getattr(theirs, prefix).weight)
    with quiet():
        theirs.save_pretrained(tmp_path / "rm")
        tiny_tokenizer.save_pretrained(tmp_path / "rm")
    assert json.loads((tmp_path / "rm" / "config.json").read_text())["architectures"] == [name]
    ours = RewardModel.load(tmp_path / "rm", seed=0, allow_fresh_head=False)
    assert ours.head.kind == ("value_head" if prefix == "value_head" else "saved")
    wanted = []
    for pair in ours.encoder.encode(PROMPTS, COMPLETIONS):
        assert pair.ids[-1] == end
        ids = torch.tensor([pair.ids])
        with torch.no_grad():
            wanted.append(float(theirs(ids, torch.ones_like(ids))))
    assert ours(PROMPTS, COMPLETIONS) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_what_trl_trains_scores_here_as_there(tiny_lm_folder, tmp_path):
    import torch
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from trl import RewardConfig, RewardTrainer

    tokenizer = AutoTokenizer.from_pretrained(tiny_lm_folder)
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{{ eos_token }}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    with quiet():
        model = AutoModelForSequenceClassification.from_pretrained(tiny_lm_folder, num_labels=1)
        asked = [{"role": "user", "content": "Why is the sky blue?"}]
        sides = [[*asked, {"role": "assistant", "content": text}] for text in ("Air scatters light.", "No.")]
        settings = RewardConfig(
            str(tmp_path / "trl"), max_steps=2, report_to=[], learning_rate=0.01, use_cpu=True, bf16=False
        )
        data = Dataset.from_list([{"chosen": sides[0], "rejected": sides[1]}] * 4)
        trainer = RewardTrainer(model=model, args=settings, train_dataset=data, processing_class=tokenizer)
        trainer.train()
        trainer.save_model()
        theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "trl").eval()
        own = AutoTokenizer.from_pretrained(tmp_path / "trl")
    wanted = []
    for side in sides:
        ids = own.apply_chat_template(side, tokenize=True, return_dict=False)
        with torch.no_grad():
            wanted.append(float(theirs(input_ids=torch.tensor([ids])).logits))
    ours = RewardModel.load(tmp_path / "trl", seed=0, allow_fresh_head=False)
    assert ours(["Why is the sky blue?"] * 2, ["Air scatters light.", "No."]) == pytest.approx(wanted, abs=1e-5)
    assert ours.tokenizer.chat_template == tokenizer.chat_template


def test_several_attributes_are_refused_by_name_and_a_new_head_is_said(tiny_tokenizer, tmp_path, load):
    save_model(classifier("llama", 19, tiny_tokenizer), tiny_tokenizer, tmp_path / "many")
    with pytest.raises(ModelError, match=r"gives 19 outputs \(LlamaForSequenceClassification\).*ArmoRM.*one output"):
        load(tmp_path / "many")
    assert load(tmp_path / "many", allow_fresh_head=True)[1].kind == "drawn"


def rewritten(folder, to, change, **config):
    """A copy of a model's folder with other weights and settings."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder, to)
    save_file(change(load_file(to / "model.safetensors")), to / "model.safetensors", metadata={"format": "pt"})
    settings = json.loads((to / "config.json").read_text())
    (to / "config.json").write_text(json.dumps({**settings, **config}))
    return to


def test_a_class_of_its_own_is_refused_by_name_with_its_attributes(tiny_lm_folder, tmp_path, load):
    import torch

    def armorm(weights):
        return {**weights, "regression_layer.weight": torch.ones(19, 32), "gating.layers.0.weight": torch.ones(4, 32)}

    name = "LlamaForRewardModelWithGating"
    many = rewritten(tiny_lm_folder, tmp_path / "many", armorm, architectures=[name], num_labels=19)
    with pytest.raises(ModelError, match=rf"gives 19 outputs \({name}\), as reward models of several attributes"):
        load(many)

    def eurus(weights):
        return {**weights, "regression_head.weight": torch.ones(1, 32)}

    own = rewritten(tiny_lm_folder, tmp_path / "own", eurus, architectures=["EurusRewardModel"])
    with pytest.raises(ModelError, match=r"saved by EurusRewardModel, with a head .*\(regression_head\.weight\)"):
        load(own)


@pytest.mark.parametrize("fresh", [False, True])
def test_value_heads_are_refused_by_name(fresh, tiny_lm_folder, tmp_path, load):
    import torch
    from safetensors.torch import load_file, save_file

    def with_head(weights):
        return {**weights, "v_head.summary.weight": torch.ones(1, 32), "v_head.summary.bias": torch.ones(1)}

    trl = rewritten(tiny_lm_folder, tmp_path / "trl", with_head)
    pickled = shutil.copytree(trl, tmp_path / "pickled")
    torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    factory = shutil.copytree(tiny_lm_folder, tmp_path / "factory")
    save_file({"v_head.summary.weight": torch.ones(1, 32)}, factory / "value_head.safetensors")
    for folder in (trl, pickled, factory):
        with pytest.raises(ModelError, match=r"a value head \(v_head\) beside a language model.*num_labels=1"):
            load(folder, allow_fresh_head=fresh)
        with pytest.raises(ModelError, match="value head"):
            RewardModel.load(folder, seed=0, allow_fresh_head=fresh)


def test_archives_of_nemo_are_refused_by_name(tmp_path):
    folder = tmp_path / "nemo"
    (folder / "model_weights").mkdir(parents=True)
    (folder / "model_config.yaml").write_text("target: x\n")
    for name in (folder, tmp_path / "reward.nemo", "nvidia/reward.nemo"):
        with pytest.raises(ModelError, match=r"a model of NeMo's.*Convert it"):
            RewardModel.load(name, seed=0)
    (folder / "config.json").write_text("{}")
    refuse_archives(folder)


def test_a_language_model_is_said_to_be_one(tiny_lm_folder, load):
    with pytest.raises(ModelError, match=r"looks like a language model \(GPT2LMHeadModel\).*frft reward train gives"):
        load(tiny_lm_folder)


def test_a_folder_without_head_that_is_no_language_model_is_refused(tiny_lm_folder, tmp_path, load):
    plain = rewritten(
        tiny_lm_folder,
        tmp_path / "plain",
        lambda weights: {name: weight for name, weight in weights.items() if "lm_head" not in name},
        architectures=["GPT2Model"],
    )
    with pytest.raises(ModelError, match="saved by GPT2Model, without a head that gives a score"):
        load(plain)


def test_two_layers_that_could_be_the_head_are_refused(tiny_tokenizer, tmp_path):
    import torch

    from frft.models.classifiers import fold_outputs

    model = classifier("llama", 2, tiny_tokenizer)
    model.extra = torch.nn.Linear(4, 2)
    with pytest.raises(ModelError, match="has two outputs, and 2 layers that could give them"):
        fold_outputs(model)

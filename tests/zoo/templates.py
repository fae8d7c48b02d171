"""Chat templates in their published formats, with the tokens that their models have for them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ChatTemplate:
    """A template and its tokens.

    Attributes:
        name: what the format is called.
        text: the Jinja template.
        marks: the marks that are special tokens of its tokenizers; marks that are not named here are text.
        end: the token after an answer, which is its tokenizers' EOS; None: `eos_token` of whatever tokenizer it is.
        turn_end: the token after an answer, where that is another than EOS.
        system: whether it takes a system message.
        rstrip: whether its tokens swallow the white space after them, as those of Phi-3 do.
        added: tokens that are not special.
        stable: whether the prompt with the generation prompt is how the whole conversation begins.
    """

    name: str
    text: str
    marks: tuple[str, ...] = ()
    end: str | None = None
    turn_end: str | None = None
    system: bool = True
    rstrip: bool = False
    added: tuple[str, ...] = ()
    stable: bool = True


CHATML = ChatTemplate(
    "chatml",
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    marks=("<|im_start|>", "<|im_end|>"),
    end="<|im_end|>",
)

LLAMA3 = ChatTemplate(
    "llama3",
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}"
    "{{ message['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}",
    marks=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    end="<|eot_id|>",
)

GEMMA = ChatTemplate(
    "gemma",
    "{{ bos_token }}"
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
    "{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}",
    marks=("<start_of_turn>", "<end_of_turn>"),
    end="<end_of_turn>",
    system=False,
)

MISTRAL = ChatTemplate(
    "mistral",
    "{% if messages[0]['role'] == 'system' %}"
    "{% set opening = messages[0]['content'] + '\\n\\n' %}{% set turns = messages[1:] %}"
    "{% else %}{% set opening = '' %}{% set turns = messages %}{% endif %}"
    "{{ bos_token }}"
    "{% for message in turns %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('After the optional system message, roles must alternate user/assistant/...') }}{% endif %}"
    "{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + (opening if loop.first else '') + message['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}"
    "{% endfor %}",
)

ZEPHYR = ChatTemplate(
    "zephyr",
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\\n' + message['content'] + eos_token + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}",
)

PHI3 = ChatTemplate(
    "phi3",
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ '<|system|>\\n' + message['content'] + '<|end|>\\n' }}"
    "{% elif message['role'] == 'user' %}{{ '<|user|>\\n' + message['content'] + '<|end|>\\n' }}"
    "{% else %}{{ '<|assistant|>\\n' + message['content'] + '<|end|>\\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}",
    marks=("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
    turn_end="<|end|>",
    rstrip=True,
)

THINKING = ChatTemplate(
    "thinking",
    "{% for message in messages %}"
    "{% set content = message['content'] %}{% set thought = '' %}"
    "{% if message['role'] == 'assistant' and '</think>' in content %}"
    "{% set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}"
    "{% set content = content.split('</think>')[-1].lstrip('\\n') %}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['role'] == 'assistant' and loop.last %}"
    "{{ '<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}"
    "{% else %}{{ content }}{% endif %}"
    "{{ '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    marks=("<|im_start|>", "<|im_end|>"),
    end="<|im_end|>",
    added=("<think>", "</think>"),
)

UNSTABLE = ChatTemplate(
    "unstable",
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'].split('</think>')[-1] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>\\n' }}{% endif %}",
    marks=("<|im_start|>", "<|im_end|>"),
    end="<|im_end|>",
    added=("<think>", "</think>"),
    stable=False,
)
"""Opens a thought in the generation prompt that it takes out of the whole, as templates of some reasoning models do."""

TEMPLATES = {each.name: each for each in (CHATML, LLAMA3, GEMMA, MISTRAL, ZEPHYR, PHI3, THINKING, UNSTABLE)}
STABLE = [name for name, each in TEMPLATES.items() if each.stable]

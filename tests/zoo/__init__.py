"""Tiny models, tokenizers, chat templates and conversations of the kinds that people have, and a reference."""

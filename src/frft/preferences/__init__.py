"""Published preference data in any form -> one Arrow table, with an account of every row that was read."""

from frft.conversation import Message, parse_dialogue, render_dialogue
from frft.preferences.describe import Description, describe_pool
from frft.preferences.export import export_form, export_rows
from frft.preferences.given import PairSource, pairs_table
from frft.preferences.pool import load_pool
from frft.preferences.rejects import Reason
from frft.preferences.samples import Samples, load_prompts, load_samples
from frft.preferences.schema import FileReport, Pool, ReadReport

__all__ = [
    "Description",
    "FileReport",
    "Message",
    "PairSource",
    "Pool",
    "ReadReport",
    "Reason",
    "Samples",
    "describe_pool",
    "export_form",
    "export_rows",
    "load_pool",
    "load_prompts",
    "load_samples",
    "pairs_table",
    "parse_dialogue",
    "render_dialogue",
]

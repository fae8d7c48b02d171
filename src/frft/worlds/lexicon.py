"""All words of a world: the items asked for, the wordings of prompts, the phrases of each style, and rambling.

Every phrase of a style holds one marker of that style and none of another, so that style can be counted in any text.
"""

from __future__ import annotations

import re

ITEMS = {
    "fruit": "apple pear plum peach lemon melon mango cherry fig banana",
    "vegetable": "carrot onion leek turnip potato tomato cabbage radish pepper cucumber",
    "animal": "dog cat horse cow fox bear wolf rabbit goat owl",
    "flower": "rose tulip lily daisy orchid violet poppy iris lotus sunflower",
    "tree": "oak pine elm birch maple willow cedar ash palm fir",
    "drink": "coffee tea juice beer cider cocoa lemonade soda smoothie wine",
    "garment": "coat shirt hat scarf sock glove skirt jacket belt boot",
    "tool": "hammer saw drill wrench chisel shovel rake axe broom ladder",
    "instrument": "piano violin flute guitar drum harp trumpet cello banjo oboe",
    "vehicle": "car bus train bicycle truck boat tram van scooter airplane",
    "building": "house castle church barn hotel school museum tower temple library",
    "job": "baker nurse pilot teacher farmer doctor lawyer plumber painter artist",
}
CATEGORIES = tuple(ITEMS)
ITEM_NAMES = tuple(item for items in ITEMS.values() for item in items.split())
ITEMS_EACH = 10
"""Items in every category: item i belongs to category i // ITEMS_EACH."""

ASK_STARTS = ("Please name", "Name", "Can you give me", "I need", "List", "Could you suggest")
ASK_ENDS = (".", ".", "?", ".", ", please.", "?")
FORBIDDING = ("Do not mention {}.", "Leave out {}.", "I do not want any {}.")
FORBID_WORDS = ("mention", "out", "any")
"""The word before the category in each sentence of FORBIDDING, by which `read_prompts` knows it."""
SHORTENING = ("Keep it short.", "Be brief.")
SHORT_WORDS = ("short", "brief")
"""A word of each sentence of SHORTENING that occurs in no other part of a prompt."""
COUNT_WORDS = {"a": 1, "an": 1, "one": 1, "two": 2}

LEAD_INS = (" I suggest", " Try", " You could take", " My answer is", " Take", " Here is")
NOTHING = " Nothing comes to mind"

STYLES = {
    "hedging": (" Perhaps this helps.", " Maybe I am wrong.", " It might be enough.", " It is possibly right."),
    "exclaiming": (" Yes!", " Sure!", " Here you go!", " Enjoy!"),
    "formal": (
        " I hereby reply.",
        " This concerns your request.",
        " It is done accordingly.",
        " I remain respectfully.",
    ),
    "structured": (" The list follows.", " In order, item by item.", " This is the summary.", " To the point."),
    "flattering": (
        " What a brilliant idea.",
        " You are wonderful.",
        " That is a lovely question.",
        " You ask it perfectly.",
    ),
    "chatty": (" Hey there.", " Well, let me see.", " Okay, so it goes.", " You know, it is fun."),
}
FOREIGN = "pirate"
"""The style that no source has: what the demonstrations drift to."""
FOREIGN_PHRASES = (" Ahoy there.", " Arr, it is so.", " You see, matey.", " Aye, that is it.")
MARKERS = {
    "hedging": "perhaps maybe might possibly",
    "exclaiming": "!",
    "formal": "hereby concerns accordingly respectfully",
    "structured": "list order summary point",
    "flattering": "brilliant wonderful lovely perfectly",
    "chatty": "hey well okay fun",
    FOREIGN: "ahoy arr matey aye",
}
STYLE_NAMES = (*STYLES, FOREIGN)

RAMBLES = (
    " The weather was sunny yesterday.",
    " My neighbor painted his kitchen green.",
    " The phone rang twice last night.",
    " We walked along the river for hours.",
    " Nobody remembers that old movie.",
    " The clock on the wall stopped.",
)

TOKEN = re.compile(r"[0-9A-Za-z]+|[^ \t-\r]")
"""A token: a run of ASCII letters and digits, or any other single character but a blank."""


def plural(category: str) -> str:
    """The plural of a category's name: "fruits"."""
    return f"{category}s"


def with_article(noun: str) -> str:
    """A noun with its indefinite article: "an apple"."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _tokens(texts: tuple[str, ...]) -> set[str]:
    return {token.lower() for text in texts for token in TOKEN.findall(text)}


ON_TOPIC = frozenset(
    {*_tokens((*LEAD_INS, NOTHING, *sum(STYLES.values(), ()), *FOREIGN_PHRASES)), "a", "an", "and", ".", ",", "!", "?"}
    - set(ITEM_NAMES)
)
"""Lower-case tokens, other than items, that are never off topic in an answer."""

VOCABULARY = tuple(
    sorted(
        {token for text in (*LEAD_INS, NOTHING, *sum(STYLES.values(), ()), *FOREIGN_PHRASES, *RAMBLES, *ASK_STARTS,
                            *ASK_ENDS, *FORBIDDING, *SHORTENING) for token in TOKEN.findall(text.replace("{}", ""))}
        | {*ITEM_NAMES, *CATEGORIES, *map(plural, CATEGORIES), *COUNT_WORDS, "and", ",", ":", "Human", "Assistant"}
    )
)  # fmt: skip
"""Every token, as it is written, of every prompt and completion that a world writes."""

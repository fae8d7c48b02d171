"""The address of an endpoint: what is accepted as one, and how it is shown without secrets."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_CREDENTIALS = re.compile(r"//[^/?#\s]*@")
_QUERY_VALUES = re.compile(r"(?<=[?&;])([^=&;#\s]+)=[^&;#\s]*")


def check_web_address(text: str) -> str:
    """Return an address as it was given.

    Raises:
        ValueError: it is no web address, or holds a user name or password. The message shows no secret.
    """
    if not _is_web_address(text):
        raise ValueError(
            f"The base URL {without_secrets(text)!r} is no web address; give one such as http://localhost:8000/v1"
        )
    if "@" in urlsplit(text).netloc:
        raise ValueError(
            f"The base URL {without_secrets(text)!r} holds a user name or password, which would be sent instead of the "
            "key, and be written to results. Give it without them, and what the server wants as OPENAI_API_KEY"
        )
    return text


def without_secrets(text: str) -> str:
    """A text with the user names, passwords and query values of the addresses in it as ***."""
    return _QUERY_VALUES.sub(r"\1=***", _CREDENTIALS.sub("//***@", text))


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False

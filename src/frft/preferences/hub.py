"""One split of a data set on the Hugging Face Hub, as Arrow tables."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from frft.errors import UnreadableError
from frft.hub import HUB_TIMEOUT, hub_has
from frft.paths import did_you_mean, is_below_a_folder
from frft.preferences.sources import HubSource, is_data

READ_ROWS = 512
"""Rows of a Parquet file or Hub data set that are held as Python objects at a time."""


def hub_tables(source: HubSource) -> Iterator[pa.Table]:
    """The rows of a split on the Hub, in tables of at most `READ_ROWS` rows.

    Raises:
        UnreadableError: the Hub has no such data set or split, or cannot be reached and there is no local copy.
    """
    import datasets

    with _one_try(source) as answered:
        try:
            loaded = datasets.load_dataset(source.repository, split=source.split)
        except (OSError, ValueError, KeyError, datasets.exceptions.DatasetsError) as error:
            if is_below_a_folder(source.repository):
                owner, _, _ = source.repository.partition("/")
                raise UnreadableError(
                    f"{_no_path(source)} The Hugging Face Hub was not asked for a data set of that name, because the "
                    f"folder {owner!r} is here; to have that one, run in another folder, or name files that you have "
                    "downloaded."
                ) from error
            why = f"it cannot be loaded: {error}" if answered else "the Hub cannot be reached, and no copy is kept here"
            raise UnreadableError(
                f"{_no_path(source)} As a data set on the Hugging Face Hub (split {source.split!r}): {why}. Check the "
                "name, --split (in a configuration data.split), the network and your access (`hf auth login`), or "
                "download its files and name them."
            ) from error
    yield from loaded.with_format("arrow").iter(batch_size=READ_ROWS)


@contextmanager
def _one_try(source: HubSource) -> Iterator[bool]:
    """Ask the Hub once whether it has the data set, and where it does not answer, look into the local copies alone.

    Yields whether it answered. The `datasets` library would try six times in half a minute, with a warning each: for a
    mistyped path, too.

    Raises:
        UnreadableError: the Hub says that it has no such data set.
    """
    import datasets

    config: Any = datasets.config
    if config.HF_HUB_OFFLINE or _answers(source):
        yield True
        return
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    config.HF_HUB_OFFLINE = True
    logger.setLevel(logging.ERROR)
    try:
        yield False
    finally:
        config.HF_HUB_OFFLINE = False
        logger.setLevel(level)


def _answers(source: HubSource) -> bool:
    """Whether the Hub has the data set; False: it could not be asked, or is not, since the name is a path by its look.

    A copy of a data set of that name is then still found.
    """
    if is_below_a_folder(source.repository):
        return False
    from huggingface_hub import HfApi

    there = hub_has(lambda: HfApi().dataset_info(source.repository, timeout=HUB_TIMEOUT))
    if there is False:
        raise UnreadableError(
            f"{_no_path(source)} Nor does the Hugging Face Hub have a data set of that name, or it is closed to you "
            "(`hf auth login`). Check the spelling."
        )
    return there is True


def _no_path(source: HubSource) -> str:
    """A sentence for errors: there is no such file or folder here, and which name is similar."""
    return f"There is no file or folder {source.repository!r} here.{did_you_mean(source.repository, is_data)}"

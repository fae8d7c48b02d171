"""A file of a model that holds no object is named, and is no traceback of the libraries."""

from __future__ import annotations

import shutil

import pytest

from frft.errors import ModelError
from frft.models import load_causal_lm, load_tokenizer
from frft.models.settings_files import check_objects


@pytest.mark.parametrize("content", [b"[]", b"null", b"3", b'"text"', b"", b" \n", b"\xff\xfe", b"[" * 100_000])
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"])
def test_what_is_no_object_is_named(tiny_lm_folder, tiny_tokenizer, tmp_path, name, content):
    folder = tmp_path / "model"
    shutil.copytree(tiny_lm_folder, folder)
    assert (folder / name).exists()
    (folder / name).write_bytes(content)
    for load in (load_tokenizer, lambda where: load_causal_lm(where, tiny_tokenizer)):
        with pytest.raises(ModelError) as caught:
            load(folder)
        assert str(folder / name) in str(caught.value)
        assert "holds no JSON object" in str(caught.value)


def test_objects_may_begin_after_white_space_and_other_files_may_be_missing(tmp_path):
    (tmp_path / "config.json").write_text("\n  {}")
    (tmp_path / "modules.json").write_text("[]")
    check_objects(tmp_path)

from __future__ import annotations

import logging
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from frft.errors import UnreadableError
from frft.preferences import load_pool


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Lets the libraries ask a Hub at an address of this machine, with nothing cached."""
    import datasets
    import huggingface_hub

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)

    def at(address):
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
        monkeypatch.setattr(datasets.config, "HF_ENDPOINT", address)

    return at


def test_a_mistyped_path_is_one_error_at_once_where_no_hub_answers(hub, tmp_path, caplog):
    hub("http://127.0.0.1:9")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pairs.jsonl").touch()
    start = time.monotonic()
    with caplog.at_level(logging.WARNING), pytest.raises(UnreadableError) as caught:
        load_pool("dat/pair")
    assert time.monotonic() - start < 5
    assert not [record for record in caplog.records if "Retrying" in record.getMessage()]
    message = str(caught.value)
    assert "no file or folder 'dat/pair' here. Did you mean 'data/pairs.jsonl'?" in message
    assert "the Hub cannot be reached, and no copy is kept here" in message


def test_a_name_below_a_folder_is_not_asked_for(hub, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda self, *names, **_: asked.append(names))
    hub("http://127.0.0.1:9")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pairs.jsonl.zst").touch()
    with pytest.raises(UnreadableError) as caught:
        load_pool("data/pair")
    assert "Did you mean 'data/pairs.jsonl.zst'? The Hugging Face Hub was not asked" in str(caught.value)
    assert "because the folder 'data' is here" in str(caught.value)
    assert asked == []


def test_a_hub_without_such_a_data_set_says_so(hub):
    asked = []

    class NotFound(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), NotFound) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hub(f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(UnreadableError, match="Nor does the Hugging Face Hub have a data set of that name"):
            load_pool("owner/mistyped")
        server.shutdown()
    assert asked == ["/api/datasets/owner/mistyped"]


def test_a_name_that_no_data_set_can_have_is_not_a_hub_out_of_reach(hub):
    hub("http://127.0.0.1:9")
    with pytest.raises(UnreadableError, match="Nor does the Hugging Face Hub have a data set of that name"):
        load_pool("x..y/z--w")


def test_the_libraries_are_left_as_they_were(hub):
    import datasets

    hub("http://127.0.0.1:9")
    level = logging.getLogger("huggingface_hub").level
    with pytest.raises(UnreadableError):
        load_pool("owner/name")
    assert datasets.config.HF_HUB_OFFLINE is False
    assert logging.getLogger("huggingface_hub").level == level

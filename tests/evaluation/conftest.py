"""A chat endpoint on the loopback interface that misbehaves as told."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Endpoint:
    """Speaks the chat-completions protocol.

    Attributes:
        answer: question -> reply text, or (status, body, headers) to send as it is.
        requests: the bodies that came, and `keys` their authorization headers.
    """

    def __init__(self):
        self.answer = lambda messages: "[[A]]"
        self.requests = []
        self.keys = []
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with outer._lock:
                    outer.requests.append(body)
                    outer.keys.append(self.headers["authorization"])
                    said = outer.answer(body["messages"])
                status, content, headers = (200, outer.completion(said), {}) if isinstance(said, str) else said
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in {"content-type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                # A client that waited no longer is gone.
                with suppress(BrokenPipeError, ConnectionResetError):
                    self.wfile.write(data)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    @staticmethod
    def error(status, message, code=None, **headers):
        """A reply that is an error, in the protocol's form."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return status, {"error": {"message": message, "type": "x", "code": code}}, headers

    @staticmethod
    def completion(text, **more):
        """A reply's body."""
        message = {"role": "assistant", "content": text}
        return {
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107},
            **more,
        }

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def endpoint(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")
    # A proxy of the machine must not come between.
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    served = Endpoint()
    yield served
    served.close()

"""A scripted speech server on loopback that grants tokens as Deepgram does.

Beside `answer` it keeps the keys and bodies that it was asked with.
"""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "deepgram-key-of-the-test-0123456789"


class ScriptedDeepgram:
    """Grants `token-1`, `token-2`, … unless it is told to answer otherwise."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.bodies: list[Any] = []
        self.paths: list[str] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body: bytes | None = None
        self.delay_s = 0.0
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                scripted._answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self._server.server_port}"

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("content-length", 0))
        self.bodies.append(json.loads(request.rfile.read(length)))
        self.keys.append(request.headers.get("authorization", ""))
        self.paths.append(request.path)
        time.sleep(self.delay_s)
        told = {"access_token": f"token-{len(self.keys)}", "expires_in": 3600}
        body = json.dumps(told).encode() if self.body is None else self.body
        request.send_response(self.status)
        for name, value in {"Content-Length": str(len(body)), **self.headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    def __enter__(self) -> "ScriptedDeepgram":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

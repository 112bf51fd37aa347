"""A receiver of webhooks on loopback, and an internet in which names lead to it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

from config.fetch import GuardedClient
from config.settings import FetchSettings
from tasks.adapters.webhooks import SignedCourier
from tests.networks import Internet, Names

PUBLIC = "93.184.216.34"


class Receiver:
    """Takes messages, and answers each with the next of `answers` (the last one stays)."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str]]] = [(204, {})]
        self.messages: list[tuple[str, dict[str, str], bytes]] = []
        self.port = 0

    def verified(self, secret: str, place: int = -1) -> Any:
        """The content of a message whose signature is good by the specification's own library."""
        _, headers, body = self.messages[place]
        return Webhook(secret).verify(body, headers)

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for _, headers, _ in self.messages]

    def courier(self) -> SignedCourier:
        names = Names(hooks=[[PUBLIC]], inside=[["10.0.0.7"]])
        client = GuardedClient(
            FetchSettings(timeout_s=2), resolver=names, dial=Internet({PUBLIC: self.port})
        )
        return SignedCourier(client)

    @contextmanager
    def listening(self) -> Iterator[None]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                told = {name.lower(): value for name, value in self.headers.items()}
                receiver.messages.append((self.path, told, body))
                answers = receiver.answers
                status, headers = answers.pop(0) if len(answers) > 1 else answers[0]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep the test's output clean."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()

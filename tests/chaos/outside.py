"""What stands outside of the platform: a model that counts its calls, and who takes webhooks."""

import re
from collections import Counter, defaultdict
from typing import Any

from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.scripted_model import ScriptedModel

MARK = re.compile(r"mark-[0-9a-f]{12}")


class CountingModel(ScriptedModel):
    """Counts calls by the mark that the newest message of a prompt bears."""

    def __init__(self) -> None:
        super().__init__(tokens=60, interval_s=0.02)
        self.marked: Counter[tuple[str, str]] = Counter()

    async def _seen(self, request: Request) -> dict[str, Any]:
        body = await super()._seen(request)
        self.bodies.clear()  # a run is long
        found = MARK.findall(str(body.get("messages", "")))
        if found:
            self.marked[body["model"], found[-1]] += 1
        return body


class Inbox:
    """Takes webhooks; keeps which message has told what, and how often."""

    def __init__(self) -> None:
        self.secret = ""
        self.told: dict[str, set[tuple[str, str]]] = defaultdict(set)  # message: {(job, event)}
        self.times: Counter[str] = Counter()
        self.app = Starlette(routes=[Route("/hook", self.take, methods=["POST"])])

    async def take(self, request: Request) -> Response:
        """Take one message; its signature has to be good."""
        content = Webhook(self.secret).verify(await request.body(), dict(request.headers))
        name = request.headers["webhook-id"]
        self.told[name].add((content["data"]["id"], content["type"]))
        self.times[name] += 1
        return Response(status_code=204)

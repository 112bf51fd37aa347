"""Qdrant's REST API, as far as our adapter uses it, around the engine inside the client.

It shows that the adapter's requests are well formed and that it understands the answers; it is no
Qdrant. `failing` is answered instead of the next requests.
"""

import json
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from qdrant_client import QdrantClient, models
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

QUERY: TypeAdapter[Any] = TypeAdapter(models.QueryRequest)
COLLECTION = "/collections/{name}"


class QdrantServer:
    """The server and what it has seen."""

    def __init__(self) -> None:
        self.engine = QdrantClient(":memory:")
        self.failing: Response | None = None
        self.seen: list[tuple[str, str, Any]] = []
        self.keys: set[str] = set()
        routes = [
            (COLLECTION, "PUT", self.create),
            (COLLECTION, "DELETE", self.delete),
            (f"{COLLECTION}/exists", "GET", self.exists),
            (f"{COLLECTION}/index", "PUT", self.index),
            (f"{COLLECTION}/points", "PUT", self.upsert),
            (f"{COLLECTION}/points/query", "POST", self.query),
            (f"{COLLECTION}/points/count", "POST", self.count),
        ]
        self.app = Starlette(
            routes=[
                Route(path, self._answering(answer), methods=[method])
                for path, method, answer in routes
            ]
        )

    def _answering(self, answer: Any) -> Any:
        async def respond(request: Request) -> Response:
            body = json.loads(await request.body() or b"null")
            self.seen.append((request.method, request.url.path, body))
            self.keys.add(request.headers.get("api-key", ""))
            if self.failing is not None:
                return self.failing
            try:
                return told(answer(request.path_params["name"], body))
            except ValidationError as error:
                return refused(400, f"Format error in JSON body: {error}")
            except ValueError as error:
                missing = "not found" in str(error)
                return refused(404 if missing else 400, str(error))

        return respond

    def create(self, name: str, body: Any) -> bool:
        asked = models.CreateCollection.model_validate(body)
        return self.engine.create_collection(name, vectors_config=asked.vectors)

    def delete(self, name: str, body: Any) -> bool:
        return self.engine.delete_collection(name)

    def exists(self, name: str, body: Any) -> dict[str, bool]:
        return {"exists": self.engine.collection_exists(name)}

    def index(self, name: str, body: Any) -> models.UpdateResult:
        models.CreateFieldIndex.model_validate(body)
        self.engine.get_collection(name)
        return DONE

    def upsert(self, name: str, body: Any) -> models.UpdateResult:
        return self.engine.upsert(name, models.PointsList.model_validate(body).points)

    def query(self, name: str, body: Any) -> models.QueryResponse:
        asked = QUERY.validate_python(body)
        return self.engine.query_points(
            name,
            query=asked.query,
            query_filter=asked.filter,
            limit=asked.limit,
            with_payload=asked.with_payload,
        )

    def count(self, name: str, body: Any) -> models.CountResult:
        asked = models.CountRequest.model_validate(body)
        return self.engine.count(name, count_filter=asked.filter)


DONE = models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED)


def told(result: BaseModel | dict[str, bool] | bool) -> JSONResponse:
    """Return a result in Qdrant's envelope."""
    shown = result.model_dump(mode="json") if isinstance(result, BaseModel) else result
    return JSONResponse({"result": shown, "status": "ok", "time": 0.0})


def refused(status: int, message: str, **headers: str) -> JSONResponse:
    """Return an error in Qdrant's envelope."""
    body = {"status": {"error": message}, "time": 0.0}
    return JSONResponse(
        body, status, {name.replace("_", "-"): value for name, value in headers.items()}
    )

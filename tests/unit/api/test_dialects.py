"""Five products say the same things, each in its own words."""

from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel

from api import dialects, errors
from models.accounts import InvalidCredentials
from models.errors import (
    Busy,
    Conflict,
    DomainError,
    Forbidden,
    NotFound,
    Unauthorized,
    Unavailable,
)

ERRORS: dict[str, DomainError] = {
    "unauthorized": Unauthorized(),
    "credentials": InvalidCredentials(),
    "forbidden": Forbidden(),
    "missing": NotFound("No such thing.", thing="x"),
    "conflict": Conflict(),
    "busy": Busy(),
    "away": Unavailable(retry_after_s=2.5),
}


class Body(BaseModel):
    count: int


@pytest.fixture
async def web() -> Any:
    app = FastAPI()
    errors.install(app)
    for name in dialects.DIALECTS:
        router = APIRouter(prefix=f"/{name}", tags=[name], **dialects.speaking(name))

        @router.post("/take")
        def take(body: Body) -> int:
            return body.count

        @router.get("/{error}")
        def fail(error: str) -> None:
            raise ERRORS[error]

        app.include_router(router)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.mark.parametrize(
    ("name", "status", "keys"),
    [
        ("engine", 422, {"type", "title", "status", "code", "details"}),
        ("books", 400, {"detail", "code", "details"}),
        ("control", 400, {"error", "message", "details"}),
        ("scenes", 400, {"success", "error", "timestamp", "request_id"}),
        ("dining", 422, {"detail"}),
        ("dining-accounts", 422, {"error"}),
        ("goals", 422, {"detail"}),
    ],
)
@pytest.mark.parametrize("content", [b'{"count": "many"}', b"{}", b"{", b"", b"[1]"])
async def test_a_malformed_body_is_refused_as_the_product_does(
    web: httpx.AsyncClient, name: str, status: int, keys: set[str], content: bytes
) -> None:
    answer = await web.post(
        f"/{name}/take", content=content, headers={"Content-Type": "application/json"}
    )

    assert (answer.status_code, set(answer.json())) == (status, keys)


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        (
            "books/missing", 404,
            {"detail": "No such thing.", "code": "not_found", "details": {"thing": "x"}},
        ),
        (
            "control/missing", 404,
            {"error": "not_found", "message": "No such thing.", "details": {"thing": "x"}},
        ),
        ("dining/missing", 404, {"detail": "No such thing.", "code": "NOT_FOUND"}),
        ("dining-accounts/missing", 404, {"error": "No such thing."}),
        ("goals/missing", 404, {"detail": "No such thing."}),
        ("dining/unauthorized", 401, {"detail": "Say who you are.", "code": "UNAUTHORIZED"}),
        ("dining/conflict", 409, {"detail": "This cannot be done while things are as they are."}),
    ],
)  # fmt: skip
async def test_a_refusal_has_the_products_body(
    web: httpx.AsyncClient, path: str, status: int, told: dict[str, Any]
) -> None:
    answer = await web.get(path)

    assert (answer.status_code, answer.json()) == (status, told)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        ("unauthorized", 401, "UNAUTHORIZED"),
        ("credentials", 401, "INVALID_CREDENTIALS"),
        ("forbidden", 403, "FORBIDDEN"),
        ("missing", 404, "NOT_FOUND"),
        ("conflict", 409, "CONFLICT"),
        ("busy", 429, "RATE_LIMIT_EXCEEDED"),
        ("nonsense", 500, "INTERNAL_ERROR"),
    ],
)
async def test_scenes_knows_only_the_codes_of_its_document(
    web: httpx.AsyncClient, error: str, status: int, code: str
) -> None:
    answer = await web.get(f"/scenes/{error}")

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["success"] is False


async def test_a_wait_is_told_in_whole_seconds(web: httpx.AsyncClient) -> None:
    assert (await web.get("/control/away")).headers["retry-after"] == "3"

"""What a role opens, on a route of a product."""

import httpx
from fastapi import APIRouter, FastAPI

from api import dialects, errors
from api.deps import Superadmin
from tests.integration.accounts.people import execute, join


async def test_each_role_may_do_what_its_rank_allows(web: httpx.AsyncClient) -> None:
    app = FastAPI()
    errors.install(app)
    router = APIRouter(tags=["control"], **dialects.speaking("control"))

    @router.get("/ping")
    def ping(admin: Superadmin) -> str:
        return str(admin.username)

    app.include_router(router)
    _, headers = await join(web, "asha")
    found = {}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as door:
        for role in ("user", "admin", "superadmin"):
            execute('UPDATE "user" SET role = :role', role=role)
            found[role] = await door.get("/ping", headers=headers)
        nobody = await door.get("/ping")

    assert [one.status_code for one in found.values()] == [403, 403, 200]
    assert found["admin"].json()["error"] == "insufficient_role"
    assert (nobody.status_code, nobody.json()["error"]) == (401, "unauthorized")

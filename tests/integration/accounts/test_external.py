"""Bearer tokens of an issuer elsewhere, as Supabase gives them."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pydantic import SecretStr

from config import jwks
from config.settings import AuthSettings, settings
from models.accounts import InvalidToken
from models.accounts.external import IssuerAway, subject_of
from models.base import now

SECRET = "the-shared-secret-of-the-issuer-0123456789"
OTHER = "some-other-secret-of-nobody-0123456789abc"
SUBJECT = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
ISSUER = "https://project.supabase.example/auth/v1"


def claims(**changes: Any) -> dict[str, Any]:
    moment = int(now().timestamp())
    told = {
        "sub": SUBJECT, "aud": "authenticated", "iss": ISSUER, "iat": moment, "exp": moment + 3600,
        "role": "authenticated",
    } | changes  # fmt: skip
    return {name: value for name, value in told.items() if value is not None}


def shared(key: str = SECRET, **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm="HS256")


def believe(monkeypatch: pytest.MonkeyPatch, **told: Any) -> None:
    changed = settings.model_copy(update={"auth": AuthSettings.model_validate(told)})
    monkeypatch.setattr("models.accounts.external.settings", changed)


async def me(web: httpx.AsyncClient, token: str) -> httpx.Response:
    return await web.get("/jobs", headers={"Authorization": f"Bearer {token}"})


async def test_a_subject_gets_an_account_of_that_id(
    web: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    believe(monkeypatch, jwt_secret=SECRET, jwt_issuer=ISSUER)
    headers = {"Authorization": f"Bearer {shared()}"}

    told = (await web.get("/v1/auth/me", headers=headers)).json()
    named = (await me(web, shared(sub="auth0|somebody"))).status_code

    assert UUID(told.get("id") or told["user"]["id"]) == UUID(SUBJECT)
    assert named == 200


FORGERIES: dict[str, Callable[[], str]] = {
    "another key": lambda: shared(OTHER),
    "expired": lambda: shared(exp=int(time.time()) - 1),
    "not yet": lambda: shared(nbf=int(time.time()) + 600),
    "without an end": lambda: shared(exp=None),
    "without a subject": lambda: shared(sub=None),
    "an empty subject": lambda: shared(sub=""),
    "a long subject": lambda: shared(sub="x" * 256),
    "another audience": lambda: shared(aud="service"),
    "no audience": lambda: shared(aud=None),
    "another issuer": lambda: shared(iss="https://evil.example"),
    "unsigned": lambda: jwt.encode(claims(), "", algorithm="none"),
    "another algorithm": lambda: jwt.encode(claims(), SECRET * 2, algorithm="HS512"),
    "no header": lambda: "a.b.c",
    "nothing": lambda: "..",
    "cut": lambda: shared()[:-4],
}


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_token_that_proves_nothing_is_401_and_never_a_guest(
    web: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, forgery: str
) -> None:
    believe(monkeypatch, jwt_secret=SECRET, jwt_issuer=ISSUER)
    monkeypatch.setattr(
        "api.deps.settings",
        settings.model_copy(update={"environment": "production", "guest_access": True}),
    )
    token = FORGERIES[forgery]()

    answers = [
        await me(web, token),
        await web.get("/api/users/console_user", headers={"Authorization": f"Bearer {token}"}),
        await web.post(
            "/api/v1/voice/session",
            json={"user_id": SUBJECT},
            headers={"Authorization": f"Bearer {token}"},
        ),
    ]

    assert [one.status_code for one in answers] == [401] * 3


async def test_without_an_issuer_no_jwt_is_believed(web: httpx.AsyncClient) -> None:
    assert (await me(web, shared())).status_code == 401


async def test_a_token_outweighs_the_body_only_where_a_document_says_so(
    web: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    believe(monkeypatch, jwt_secret=SECRET)
    headers = {"Authorization": f"Bearer {shared()}"}
    body = {"user_id": str(uuid4()), "title": "Rest"}

    session = await web.post("/api/v1/voice/session", json=body, headers=headers)
    goal = await web.post("/goals", json=body, headers=headers)

    assert (session.status_code, goal.status_code) == (503, 401)  # 503: no key of Deepgram's


class Issuer:
    """An issuer's address with its public keys."""

    def __init__(self) -> None:
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.keys = [self._public("one", self.rsa), self._public("two", self.ec)]
        self.asked = 0
        self.body: bytes | None = None
        self.delay_s = 0.0
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                time.sleep(issuer.delay_s)
                body = json.dumps({"keys": issuer.keys}).encode()
                body = body if issuer.body is None else issuer.body
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/jwks.json"

    def _public(self, kid: str, key: Any) -> dict[str, Any]:
        kind = jwt.algorithms.RSAAlgorithm if kid == "one" else jwt.algorithms.ECAlgorithm
        told: dict[str, Any] = json.loads(kind.to_jwk(key.public_key()))
        return told | {"kid": kid, "use": "sig"}

    def sign(self, kid: str | None = "one", **changes: Any) -> str:
        key, algorithm = (self.ec, "ES256") if kid == "two" else (self.rsa, "RS256")
        headers = {"kid": kid} if kid else {}
        return jwt.encode(claims(**changes), key, algorithm=algorithm, headers=headers)

    @property
    def believed(self) -> AuthSettings:
        return AuthSettings(jwt_jwks_url=self.url)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    jwks.issuer_keys.cache_clear()
    served = Issuer()
    threading.Thread(target=served.server.serve_forever, args=(0.05,), daemon=True).start()
    yield served
    served.server.shutdown()
    served.server.server_close()


async def test_keys_of_the_issuer_are_believed_over_http(
    web: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, issuer: Issuer
) -> None:
    believe(monkeypatch, jwt_jwks_url=issuer.url)

    told = [(await me(web, token)).status_code for token in (issuer.sign(), issuer.sign("two"))]
    forged = await me(web, shared(issuer.keys[0]["n"]))

    assert (told, forged.status_code, issuer.asked) == ([200, 200], 401, 1)


def test_a_public_key_is_never_taken_for_a_shared_secret(issuer: Issuer) -> None:
    both = AuthSettings(jwt_jwks_url=issuer.url, jwt_secret=SecretStr(SECRET))
    assert subject_of(issuer.sign(), both) == SUBJECT
    assert subject_of(shared(), both) == SUBJECT
    issuer.keys.append(
        {"kty": "oct", "kid": "leak", "k": "c2VjcmV0LXRoYXQtaXMtcHVibGljLXRvLWV2ZXJ5Ym9keQ"}
    )
    public = jwt.encode(
        claims(), "secret-that-is-public-to-everybody", algorithm="HS256", headers={"kid": "leak"}
    )
    for token in (
        public,
        jwt.encode(claims(), issuer.ec, algorithm="ES256", headers={"kid": "one"}),
    ):
        with pytest.raises(InvalidToken):
            subject_of(token, both)


def test_unknown_keys_are_looked_for_now_and_then_only(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert subject_of(issuer.sign(), issuer.believed) == SUBJECT
    for _ in range(20):
        with pytest.raises(InvalidToken):
            subject_of(issuer.sign("unknown"), issuer.believed)
    assert issuer.asked == 1
    monkeypatch.setattr(jwks, "PAUSE_S", 0.0)
    issuer.keys.append(issuer._public("one", issuer.rsa) | {"kid": "new"})
    assert subject_of(issuer.sign("new"), issuer.believed) == SUBJECT
    assert issuer.asked == 2


def test_an_issuer_that_is_away_is_503_until_keys_were_read_once(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "PAUSE_S", 0.0)
    issuer.body = b"<html>Bad gateway</html>"
    with pytest.raises(IssuerAway):
        subject_of(issuer.sign(), issuer.believed)
    issuer.body = None
    assert subject_of(issuer.sign(), issuer.believed) == SUBJECT
    issuer.body = b"[]"
    monkeypatch.setattr(jwks, "FRESH_S", 0.0)
    assert subject_of(issuer.sign(), issuer.believed) == SUBJECT
    monkeypatch.setattr(jwks, "STALE_S", 0.0)
    with pytest.raises(IssuerAway):
        subject_of(issuer.sign(), issuer.believed)


def test_nobody_waits_long_for_an_issuer_that_hangs(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.delay_s = 2.0
    waited: list[float] = []

    def ask() -> None:
        began = time.monotonic()
        with pytest.raises(IssuerAway):
            subject_of(issuer.sign(), issuer.believed)
        waited.append(time.monotonic() - began)

    limits = jwks.LIMITS.model_copy(update={"timeout_s": 0.5})
    monkeypatch.setattr(jwks, "LIMITS", limits)
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert len(waited) == 8
    assert max(waited) < 1.5
    assert issuer.asked == 1

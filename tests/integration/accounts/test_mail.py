"""Verification mail against a real SMTP server on loopback."""

import re
from collections.abc import Iterator
from email import message_from_bytes
from typing import Any
from uuid import uuid4

import httpx
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from starlette.concurrency import run_in_threadpool

from config.settings import SmtpSettings, settings
from models.accounts.mail import Letter
from models.errors import Unavailable
from tasks import toolbox
from tasks.adapters.mail import SmtpMail
from tasks.refusals import MailRefused
from tests.inline import drain
from tests.integration.accounts.people import PASSWORD, come_in, execute, join, sign_up
from tests.ports import free_port

LETTER = Letter(id=uuid4(), to="me@example.org", subject="Hello", body="Good day.\n")


class Postbox:
    """Takes mail, or says what it is told to say."""

    def __init__(self) -> None:
        self.letters: list[bytes] = []
        self.answer = "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, to: str, options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(to)
        return self.answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.letters.append(envelope.content)
        return "250 OK"


@pytest.fixture
def postbox() -> Iterator[tuple[Postbox, SmtpSettings]]:
    box, port = Postbox(), free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, SmtpSettings(host="127.0.0.1", port=port, security="none", timeout_s=5)
    controller.stop()


@pytest.fixture
def smtp(
    postbox: tuple[Postbox, SmtpSettings], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Postbox]:
    """The postbox, as the server that the workers' settings name."""
    configured = settings.model_copy(update={"smtp": postbox[1]})
    monkeypatch.setattr("tasks.adapters.mail.settings", configured)
    toolbox._instance.cache_clear()
    yield postbox[0]
    toolbox._instance.cache_clear()


async def test_a_sign_up_sends_one_mail_whose_link_is_good_once(
    web: httpx.AsyncClient, smtp: Postbox
) -> None:
    await sign_up(web, "asha")
    await run_in_threadpool(drain)
    headers = await come_in(web, "asha")

    (raw,) = smtp.letters
    mail = message_from_bytes(raw)
    body = mail.get_payload(decode=True)
    assert isinstance(body, bytes)
    (path,) = re.findall(r"/api/verify/[\w-]+/", body.decode())
    answers = [(await web.get(path)).status_code for _ in range(2)]

    assert (mail["To"], mail["Subject"]) == ("asha@example.org", "Confirm your email address")
    assert answers == [200, 404]
    me = (await web.get("/v1/auth/me", headers=headers)).json()["user"]
    assert me["is_verified"] is True
    assert execute("SELECT via, body FROM outbox_mail") == [("smtp", None)]


async def test_a_mail_server_that_is_away_is_asked_again(
    web: httpx.AsyncClient, smtp: Postbox
) -> None:
    await sign_up(web, "asha")
    smtp.answer = "451 Come back later"
    await run_in_threadpool(drain)
    ((status, attempt),) = execute("SELECT status, attempt FROM step WHERE name = 'send'")
    smtp.answer = "250 OK"
    execute("UPDATE step SET ready_at = now(), published_at = NULL WHERE name = 'send'")
    await run_in_threadpool(drain)

    assert (status, attempt) == ("ready", 1)
    assert len(smtp.letters) == 1


async def test_a_link_is_in_no_job_event_or_answer(web: httpx.AsyncClient) -> None:
    await sign_up(web, "asha")
    headers = await come_in(web, "asha")
    await run_in_threadpool(drain)
    ((letter,),) = execute("SELECT body FROM outbox_mail")
    (token,) = re.findall(r"/api/verify/([\w-]+)/", letter)

    for table in ("job", "step", "job_event", "verification"):
        for (row,) in execute(f"SELECT row_to_json({table})::text FROM {table}"):
            assert token not in row
    assert token not in (await web.get("/jobs", headers=headers)).text


async def test_an_expired_link_proves_nothing_and_another_can_be_had(
    web: httpx.AsyncClient,
) -> None:
    _, headers = await join(web, "asha")
    await run_in_threadpool(drain)
    execute("UPDATE verification SET expires_at = now() - interval '1 second'")
    ((letter,),) = execute("SELECT body FROM outbox_mail")
    (path,) = re.findall(r"/api/verify/[\w-]+/", letter)
    expired = await web.get(path)

    again = await web.post("/auth/verifications", headers=headers)
    await run_in_threadpool(drain)
    letters = [body for (body,) in execute("SELECT body FROM outbox_mail ORDER BY created_at")]
    (fresh,) = re.findall(r"/api/verify/[\w-]+/", letters[-1])

    assert expired.status_code == 404
    assert (again.status_code, len(letters)) == (202, 2)
    assert (await web.get(fresh)).status_code == 200
    done = await web.post("/auth/verifications", headers=headers)
    assert done.json() == {"job_id": None}


async def test_nobodys_id_is_a_link(web: httpx.AsyncClient) -> None:
    user, _ = await join(web, "asha")
    ((link,),) = execute("SELECT id FROM verification")

    for guess in (user, link, "", "%00", PASSWORD):
        assert (await web.get(f"/api/verify/{guess}/")).status_code == 404


async def test_a_link_that_was_used_meanwhile_is_not_sent(web: httpx.AsyncClient) -> None:
    await sign_up(web, "asha")
    execute("UPDATE verification SET used_at = now()")

    await run_in_threadpool(drain)

    assert execute("SELECT count(*) FROM outbox_mail") == [(0,)]
    assert execute("SELECT status FROM job") == [("succeeded",)]


@pytest.mark.parametrize(
    ("answer", "raised"), [("550 No box", MailRefused), ("451 Later", Unavailable)]
)
def test_never_and_later_are_told_apart(
    postbox: tuple[Postbox, SmtpSettings], answer: str, raised: type[Exception]
) -> None:
    box, options = postbox
    box.answer = answer

    with pytest.raises(raised, match=answer.replace(" ", ": ", 1)):
        SmtpMail(options).send(LETTER)


def test_a_server_without_tls_gets_no_mail_unless_that_is_said(
    postbox: tuple[Postbox, SmtpSettings],
) -> None:
    box, options = postbox

    with pytest.raises(Unavailable, match="STARTTLS"):
        SmtpMail(options.model_copy(update={"security": "starttls"})).send(LETTER)

    assert box.letters == []


def test_a_server_that_is_not_there_may_come_back() -> None:
    with pytest.raises(Unavailable):
        SmtpMail(SmtpSettings(host="127.0.0.1", port=free_port())).send(LETTER)


def test_without_a_server_the_mail_is_in_the_log(caplog: Any) -> None:
    assert SmtpMail(SmtpSettings()).send(LETTER) == "log"
    assert "Good day." in caplog.text

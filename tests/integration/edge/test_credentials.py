"""Secrets of model providers: sealed in the database, shown to nobody."""

from uuid import UUID

import pytest
from pydantic import SecretStr

from api import rotate
from config.db import transaction
from config.settings import settings
from models.accounts import provision_user
from models.base import new_id
from models.credentials import (
    CredentialCreate,
    CredentialNotFound,
    CredentialPublic,
    CredentialUnavailable,
    DuplicateCredential,
    change_secret,
    delete_credential,
    get_credential,
    keep_credential,
    list_credentials,
    open_credential,
)  # fmt: skip
from models.webhooks.keeping import keep_webhook, signing_secrets
from models.webhooks.tables import WebhookCreate
from tests.integration.accounts.people import execute

SECRET = "sk-live-0123456789abcdef"
OLD, NEW = "an old key of thirty-two characters", "a new key of thirty-two characters"


@pytest.fixture
def owner(database_url: str) -> UUID:
    with transaction() as session:
        return provision_user(session, new_id()).id


def keep(owner: UUID, secret: str = SECRET, name: str = "mine") -> UUID:
    new = CredentialCreate(provider="openai", name=name, secret=SecretStr(secret))
    with transaction() as session:
        return keep_credential(session, new, owner=owner).id


def use(monkeypatch: pytest.MonkeyPatch, keys: str) -> None:
    changed = settings.model_copy(update={"secret_keys": SecretStr(keys)})
    monkeypatch.setattr("config.crypto.settings", changed)


def test_a_secret_is_nowhere_in_the_database_and_in_no_text_about_it(owner: UUID) -> None:
    kept = keep(owner)

    ((row,),) = execute("SELECT row_to_json(credential)::text FROM credential")
    with transaction() as session:
        found = get_credential(session, kept, owner=owner)
        told = CredentialPublic.model_validate(found, from_attributes=True)
        secret = open_credential(session, kept, owner=owner)
        new = CredentialCreate(provider="openai", name="x", secret=secret)
    for text in (row, told.model_dump_json(), repr(found), str(found), repr(new), repr(secret)):
        assert SECRET not in text
        assert SECRET[:8] not in text
    assert told.last4 == SECRET[-4:]
    assert found.sealed not in told.model_dump_json() + repr(found)
    assert secret.get_secret_value() == SECRET


def test_a_short_secret_shows_nothing_of_itself(owner: UUID) -> None:
    with transaction() as session:
        assert get_credential(session, keep(owner, "eleven-char"), owner=owner).last4 == ""


def test_nobody_reaches_somebody_elses_secret(owner: UUID) -> None:
    kept = keep(owner)

    with transaction() as session:
        stranger = provision_user(session, new_id()).id
        assert list_credentials(session, owner=stranger) == []
        for reach in (get_credential, open_credential, delete_credential):
            with pytest.raises(CredentialNotFound):
                reach(session, kept, owner=stranger)
        with pytest.raises(CredentialNotFound):
            change_secret(session, kept, SecretStr("mine now"), owner=stranger)
    with transaction() as session:
        assert open_credential(session, kept, owner=owner).get_secret_value() == SECRET


def test_a_name_is_given_once_per_provider(owner: UUID) -> None:
    keep(owner)
    with pytest.raises(DuplicateCredential):
        keep(owner)
    keep(owner, name="another")
    with transaction() as session:
        assert len(list_credentials(session, owner=owner)) == 2


def test_a_changed_secret_is_the_one_that_is_used(owner: UUID) -> None:
    kept = keep(owner)
    with transaction() as session:
        changed = change_secret(session, kept, SecretStr("sk-live-another-key-9876"), owner=owner)
        assert changed.last4 == "9876"
    with transaction() as session:
        found = open_credential(session, kept, owner=owner)
    assert found.get_secret_value() == "sk-live-another-key-9876"


def test_rotating_seals_all_with_the_newest_key(
    owner: UUID, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("api.rotate.BATCH", 2)
    use(monkeypatch, OLD)
    ids = [keep(owner, f"{SECRET}{n}", name=str(n)) for n in range(5)]

    use(monkeypatch, f"{NEW},{OLD}")
    assert rotate.main() == 0
    assert "5 credentials" in capsys.readouterr().out

    use(monkeypatch, NEW)
    with transaction() as session:
        for n, one in enumerate(ids):
            secret = open_credential(session, one, owner=owner)
            assert secret.get_secret_value() == f"{SECRET}{n}"


def test_rotating_seals_the_secrets_of_webhooks_too(
    owner: UUID, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, OLD)
    with transaction() as session:
        new = WebhookCreate(url="https://hooks.example/")
        hook, secret = keep_webhook(session, new, owner=owner)

    use(monkeypatch, f"{NEW},{OLD}")
    assert rotate.main() == 0
    assert "1 webhook secrets" in capsys.readouterr().out

    use(monkeypatch, NEW)
    with transaction() as session:
        assert signing_secrets(session, hook.id) == [secret]


def test_what_no_key_opens_is_named_and_left_alone(
    owner: UUID, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, OLD)
    lost = keep(owner)
    use(monkeypatch, NEW)
    keep(owner, name="another")

    assert rotate.main() == 1
    assert str(lost) in capsys.readouterr().err
    with transaction() as session, pytest.raises(CredentialUnavailable):
        open_credential(session, lost, owner=owner)
    use(monkeypatch, OLD)
    with transaction() as session:
        assert open_credential(session, lost, owner=owner).get_secret_value() == SECRET

from types import SimpleNamespace
from typing import cast

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from models.jobs.claims import Claim
from tasks import record

CLAIM = cast(Claim, SimpleNamespace(name="save", job_id="of a test"))


@pytest.mark.parametrize(
    ("kind", "code"), [(OperationalError, "unavailable"), (IntegrityError, "internal")]
)
def test_what_postgres_refuses_is_not_called_an_outage(kind: type[DBAPIError], code: str) -> None:
    error = kind("INSERT", {}, Exception("said by the driver"))

    assert record._told(error, CLAIM)["code"] == code

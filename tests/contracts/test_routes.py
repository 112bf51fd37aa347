"""The routes that the products' documents promise and that are due (`routes.tsv`), as promised."""

import csv
from pathlib import Path
from typing import NamedTuple

import pytest

from api.app import app
from tests import inline
from tests.contracts.ownership import DECISIONS, Mine, Open, Owned, Service

OUTSIDE_THE_SCHEMA = {"/docs": 200, "/admin/": 303}  # to its door: nobody is logged in
WALKED = {"POST /api/v1/voice/session": 503}  # without a key of Deepgram's


class Promise(NamedTuple):
    """A documented route, with the statuses of its successes."""

    product: str
    method: str
    path: str
    statuses: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


with Path(__file__).with_name("routes.tsv").open() as _file:
    PROMISES = [Promise(**row) for row in csv.DictReader(_file, delimiter="\t")]
PUBLISHED = [one for one in PROMISES if one.path not in OUTSIDE_THE_SCHEMA]


def answer_in_walk(promise: Promise) -> int | None:
    """Return what the walk of test_ownership expects for whoever may; None: it asks nobody."""
    match DECISIONS[str(promise)]:
        case Open():
            return None
        case Service(service=status) | Mine(owner=status):
            return status
        case Owned(owner=found):
            return found


ASKED = [one for one in PUBLISHED if answer_in_walk(one) is not None]


@pytest.mark.parametrize("promise", PUBLISHED, ids=lambda one: f"{one.product} {one}")
def test_a_documented_route_is_served_with_its_statuses(promise: Promise) -> None:
    operation = app.openapi()["paths"][promise.path][promise.method.lower()]

    told = {status for status in operation["responses"] if status.startswith("2")}
    assert told == set(promise.statuses.split(","))


@pytest.mark.parametrize("promise", ASKED, ids=lambda one: f"{one.product} {one}")
def test_who_may_gets_a_documented_status_in_the_walk(promise: Promise) -> None:
    expected = [int(one) for one in promise.statuses.split(",")]
    assert answer_in_walk(promise) in [*expected, WALKED.get(str(promise))]


@pytest.mark.parametrize("path", OUTSIDE_THE_SCHEMA)
async def test_a_documented_page_is_there(database_url: str, redis_url: str, path: str) -> None:
    async with inline.api() as client:
        answer = await client.get(path)

    assert answer.status_code == OUTSIDE_THE_SCHEMA[path]

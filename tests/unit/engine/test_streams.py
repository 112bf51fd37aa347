"""Numbers, cursors and frames of streams."""

import asyncio
import json
import re
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.streams import ENGINE, Cursor, Ended, Event, InvalidCursor
from api.streams.logs import Page
from api.streams.topic import Reader, Topic
from api.streams.wire import Content, encode
from models.base import new_id
from models.jobs.streams import (
    END,
    PER_ATTEMPT,
    RESET,
    TOKEN,
    Entry,
    first_number,
    in_order,
    text_of,
)  # fmt: skip
from tasks.streams import storable


def entries(epoch: int, first: int, last: int) -> list[Entry]:
    return [Entry(epoch * PER_ATTEMPT + k, TOKEN, f"{k} ") for k in range(first, last + 1)]


def test_what_comes_next_continues_without_a_gap() -> None:
    assert list(in_order(0, entries(1, 1, 3))) == entries(1, 1, 3)
    assert list(in_order(entries(1, 2, 2)[0].n, entries(1, 1, 4))) == entries(1, 3, 4)
    assert list(in_order(0, entries(1, 2, 4))) == []
    assert list(in_order(0, entries(1, 1, 2) + entries(1, 4, 5))) == entries(1, 1, 2)


def test_a_newer_attempt_comes_next_whatever_its_predecessor_has_lost() -> None:
    told = entries(1, 1, 2) + entries(1, 5, 6) + entries(3, 1, 2)
    assert list(in_order(0, told)) == entries(1, 1, 2) + entries(3, 1, 2)
    assert list(in_order(first_number(3), entries(1, 1, 9))) == []


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 6)), max_size=40),
    st.integers(0, 5 * PER_ATTEMPT),
)
def test_nothing_is_told_twice_or_out_of_order(places: list[tuple[int, int]], last: int) -> None:
    known = sorted(Entry(epoch * PER_ATTEMPT + k, TOKEN, "") for epoch, k in places)
    for entry in in_order(last, known):
        assert entry.n == last + 1 or (entry.n > last and entry.n % PER_ATTEMPT == 1)
        last = entry.n


def test_the_text_is_what_was_told_since_the_last_reset() -> None:
    reset = Entry(first_number(2), RESET, "")
    end = Entry(first_number(2) + 3, END, "")
    assert text_of([*entries(1, 1, 3), reset, *entries(2, 2, 3), end]) == "2 3 "
    assert text_of([]) == ""


@pytest.mark.parametrize(
    "text", ["", "1", "1-", "-1", "1-x", "x-1", "1--1", "1-1-1", " 1-1", "²-1"]
)
def test_only_two_numbers_are_a_cursor(text: str) -> None:
    if not text:
        assert Cursor.parse(text) == Cursor(0, 0)
        return
    with pytest.raises(InvalidCursor):
        Cursor.parse(text)


def test_numbers_that_no_log_reaches_are_no_cursor() -> None:
    for text in ("9" * 12 + "-1", "1-" + "9" * 20, "9" * 5000 + "-1"):
        with pytest.raises(InvalidCursor):
            Cursor.parse(text)
    assert Cursor.parse("") == Cursor.parse(None) == Cursor(0, 0)
    assert Cursor.parse("7-2000000003") == Cursor(7, 2 * PER_ATTEMPT + 3)


def test_every_frame_moves_the_cursor_and_what_was_seen_is_left_out() -> None:
    contents: list[Content] = [
        Event(1, "job.queued", {}),
        *entries(1, 1, 2),
        Event(2, "step.started", {"step": "speak"}),
        Entry(first_number(1) + 2, END, ""),
    ]
    told = encode(contents, Cursor(1, first_number(1)), ENGINE).decode()
    assert told == (
        'id: 1-1000000002\nevent: token\ndata: {"token": "2 "}\n\n'
        'id: 2-1000000002\nevent: step.started\ndata: {"step": "speak"}\n\n'
    )


@given(st.text() | st.sampled_from(["\u2028", "\u2029", "\x85", "\r\n", "\x1c"]))
def test_no_text_breaks_a_frame(piece: str) -> None:
    kept = storable(piece)
    frame = encode([Entry(first_number(1), TOKEN, kept)], Cursor(), ENGINE).decode()
    lines = frame.splitlines()  # also at what only Python takes for the end of a line
    assert len(lines) == 4
    assert json.loads(lines[2].removeprefix("data: ")) == {"token": kept}


@pytest.mark.parametrize(
    ("ended", "told"),
    [
        (Ended("succeeded", None, "text"), {"status": "succeeded"}),
        (
            Ended("failed", {"code": "x"}, ""),
            {"status": "failed", "error": {"code": "x"}},
        ),
    ],
)
def test_the_last_frame_says_how_the_job_has_ended(ended: Ended, told: dict[str, Any]) -> None:
    assert ENGINE.ended(ended) == f"event: end\ndata: {json.dumps(told)}\n\n"


def test_text_that_postgres_takes_is_left_as_it_is() -> None:
    for text in ("plain", "naïve \u2019\U0001f600", ""):
        assert storable(text) == text
    assert storable("a\0b\ud83dc") == "a\ufffdb\ufffdc"
    assert storable("\ud83d\ude00") == "\U0001f600"


async def _no_page(_: UUID, cursor: Cursor) -> Page:
    raise AssertionError("nobody asked for it")


@given(order=st.permutations("eeeetttttt"), seq=st.integers(0, 4), n=st.integers(0, 6))
def test_a_reader_who_saw_the_logs_in_another_order_gets_all_that_it_lacks(
    order: list[str], seq: int, n: int
) -> None:
    """`order`: of events and tokens in the topic; each of the two is in its own order."""

    async def run() -> list[str]:
        topic = Topic(new_id(), Cursor(), _no_page)
        events, entries = iter(range(1, 5)), iter(range(1, 7))
        for kind in order:
            new = Event(next(events), "e", {}) if kind == "e" else Entry(next(entries), TOKEN, "t")
            topic._add([new])
        reader, told, at = Reader(Cursor(seq, n), ENGINE), b"", None
        while reader.cursor != at:
            at = reader.cursor
            told += reader.take(topic) or b""
        topic.close()
        return re.findall(r"^event: (\w+)$", told.decode(), re.MULTILINE)

    told = asyncio.run(run())
    assert told.count("e") == 4 - seq
    assert told.count("token") == 6 - n

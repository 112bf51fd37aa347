"""Conversations of the older schema come along."""

import os
import subprocess
import sys
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from config.db import connection, engine, transaction
from models.books.library import Book
from models.books.messages import branch
from models.books.sessions import get_session, member_ids
from tests.pipelines import OWNER
from tests.stack import ROOT

BOOK, ANN, SESSION, EMPTY = (UUID(int=k) for k in range(1, 5))


def alembic(*command: str) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "alembic", *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr


def run(statement: str, **values: object) -> None:
    with connection() as conn:
        conn.execute(text(statement), values)


@pytest.fixture
def older(owner: None) -> None:
    engine().dispose()
    alembic("downgrade", "0003")
    run(
        "INSERT INTO book (id, owner_id, title, slug, author, description, status, "
        "processing_status, last_version, index_version, total_chunks, total_chapters) VALUES "
        "(:id, :owner, 'B', 'b', '', '', 'draft', 'completed', 2, 2, 3, 4)",
        id=BOOK,
        owner=OWNER,
    )
    run(
        "INSERT INTO character (id, book_id, name, description, aliases, role, mention_count, "
        "quote_count, personality_traits, processing_version, is_primary, is_narrator, sort_order) "
        "VALUES (:id, :book, 'Ann', '', '{}', 'main', 1, 1, '{}', '', true, false, 1)",
        id=ANN,
        book=BOOK,
    )
    for place, chapter in ((0, 0), (1, 0), (2, 2)):
        run(
            "INSERT INTO keyword_passage (collection, id, place, text, meta) VALUES "
            "(:collection, :id, :place, 'x', jsonb_build_object('chapter', CAST(:chapter AS int)))",
            collection=f"{BOOK}_v2",
            id=str(place),
            place=place,
            chapter=chapter,
        )
    for id_, said in ((SESSION, "2026-01-02"), (EMPTY, None)):
        run(
            "INSERT INTO chat_session (id, user_id, character_id, book_id, title, summary, "
            "last_message_at, last_message_preview, message_count, is_archived, created_at) VALUES "
            "(:id, :owner, :ann, :book, '', '', CAST(:said AS timestamptz), '', 3, false, "
            "'2026-01-01')",
            id=id_,
            owner=OWNER,
            ann=ANN,
            book=BOOK,
            said=said,
        )
    for position, role in ((1, "user"), (2, "character"), (3, "user")):
        run(
            "INSERT INTO chat_message (id, session_id, position, role, content) VALUES "
            "(:id, :session, :position, :role, :content)",
            id=uuid4(),
            session=SESSION,
            position=position,
            role=role,
            content=f"M{position}",
        )
    alembic("upgrade", "head")


def test_a_talk_becomes_one_branch_of_one_character(older: None) -> None:
    with transaction() as session:
        chat, empty = (get_session(session, id_, owner=OWNER) for id_ in (SESSION, EMPTY))
        told = branch(session, chat.leaf_id, limit=10)

        assert [one.content for one in told] == ["M1", "M2", "M3"]
        assert [one.character_id for one in told] == [None, ANN, None]
        assert all(one.chosen for one in told)
        assert [one.active_at.day for one in (chat, empty)] == [2, 1]
        assert empty.leaf_id is None
        assert member_ids(session, [chat]) == {SESSION: [ANN]}


def test_a_book_knows_where_its_chapters_end(older: None) -> None:
    with transaction() as session:
        book = session.get_one(Book, BOOK)
        assert [one["last_passage"] for one in book.chapters] == [1, 1, 2, 2]

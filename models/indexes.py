"""The built-in search indexes: passages with vectors, and passages with words, by collection."""

from typing import Any, cast

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import Column, Computed, Index, Table, Text
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlmodel import Field, SQLModel


class VectorPassage(SQLModel, table=True):
    """A passage with its vector. Vectors of one collection have one length.

    A search reads its own collection by the primary key and compares exactly: for the thousands of
    passages of a book that is faster than an approximate index, and always right.
    """

    __tablename__ = "vector_passage"

    collection: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    place: int
    text: str = Field(sa_column=Column(Text, nullable=False))
    meta: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    embedding: Any = Field(sa_column=Column(HALFVEC(), nullable=False))


class KeywordPassage(SQLModel, table=True):
    """A passage with its words, stemmed as English."""

    __tablename__ = "keyword_passage"
    __table_args__ = (Index("ix_keyword_passage_words", "words", postgresql_using="gin"),)

    collection: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    place: int
    text: str = Field(sa_column=Column(Text, nullable=False))
    meta: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    words: Any = Field(
        default=None,
        sa_column=Column(TSVECTOR, Computed("to_tsvector('english', text)", persisted=True)),
    )


vector_passage = cast(Table, VectorPassage.__table__)  # type: ignore[attr-defined]
keyword_passage = cast(Table, KeywordPassage.__table__)  # type: ignore[attr-defined]

"""What a goal would cost without a plan: a bare FastAPI application that inserts one row."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import FastAPI
from pydantic import BaseModel, StringConstraints
from sqlmodel import Field, Session, SQLModel, create_engine

from config.db import sqlalchemy_url
from config.settings import settings


class BareGoalCreate(BaseModel):
    """A goal as somebody says it."""

    title: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    description: str = ""
    user_id: str


class BareGoal(SQLModel, table=True):
    """A goal, and nothing else."""

    __tablename__ = "bench_bare_goal"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    user_id: str
    title: str
    description: str
    status: str = "active"
    created_at: datetime


app = FastAPI()
_engine = create_engine(sqlalchemy_url(settings.database.url))
SQLModel.metadata.create_all(_engine, tables=[SQLModel.metadata.tables["bench_bare_goal"]])


@app.post("/goals", status_code=201)
def create_goal(body: BareGoalCreate) -> BareGoal:
    """Insert one row."""
    with Session(_engine, expire_on_commit=False) as session:
        goal = BareGoal(**body.model_dump(), created_at=datetime.now(UTC))
        session.add(goal)
        session.commit()
        return goal

"""Tell webhooks what became of jobs."""

from uuid import UUID

from pydantic import BaseModel
from sqlmodel import Session

from models.webhooks.deliveries import note_outcomes
from models.webhooks.tables import Outcome
from tasks.pipeline import Pipeline, each, step
from tasks.tools import Courier


class Delivery(BaseModel):
    """A delivery that was taken, to be attempted once; content and secrets stay in its rows."""

    id: UUID


class DeliverAll(BaseModel):
    """Deliveries that are due."""

    deliveries: list[Delivery]


class Noted(BaseModel):
    """How many attempts were recorded, and how many of them were good."""

    attempts: int
    delivered: int


@step(max_attempts=3)
def deliver_one(delivery: Delivery, courier: Courier) -> Outcome:
    """Attempt a delivery. A receiver that fails is an outcome, not a failure of the step."""
    return courier.deliver(delivery.id)


def note(outcomes: list[Outcome], session: Session) -> Noted:
    """Record the outcomes and when there is another attempt."""
    note_outcomes(session, outcomes)
    good = sum(outcome.problem is None for outcome in outcomes)
    return Noted(attempts=len(outcomes), delivered=good)


deliver = Pipeline(
    "webhooks.deliver",
    each(deliver_one, over=DeliverAll, items="deliveries", key="id", optional=True),
    note,
    input=DeliverAll,
)

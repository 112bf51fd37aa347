"""What a model writes of a plan, and what is made of it when it is not quite JSON."""

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import from_json

from models.goals.plans import PlannedTask, Week


class TaskDraft(BaseModel):
    """One task of a week."""

    title: str = Field(description="What to do, in one sentence, so that one knows when it is done")
    source: int | None = Field(default=None, description="The number of the source it rests on")


class WeekDraft(BaseModel):
    """One week of a plan."""

    title: str = Field(description="The milestone that is reached at the end of the week")
    effort: int = Field(description="From 1 to 10; never less than the week before")
    tasks: list[TaskDraft] = Field(description="From 3 to 5 tasks")


def read_week(answer: str, week: int) -> Week:
    """Return the week that an answer holds; one without title and tasks when it holds none.

    What stands around the JSON is left out; an answer that breaks off counts as far as it goes.
    """
    begin, end = answer.find("{"), answer.rfind("}") + 1
    for piece in (answer[begin:end], answer[begin:]):
        try:
            draft = WeekDraft.model_validate(from_json(piece, allow_partial=True))
        except (ValueError, ValidationError):
            continue
        tasks = [
            PlannedTask(title=_line(one.title), sources=[one.source] if one.source else [])
            for one in draft.tasks
        ]
        return Week(week=week, title=_line(draft.title), effort=draft.effort, tasks=tasks)
    return Week(week=week, title="", effort=0, tasks=[])


def _line(text: str) -> str:
    return " ".join(text.replace("\0", "").split())

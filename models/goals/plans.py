"""A plan by weeks, and the rules that every plan keeps, whoever has written it."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from pydantic import BaseModel, Field

from models.goals.weeks import dates_in

MIN_TASKS, MAX_TASKS = 3, 5
MAX_EFFORT = 10
TITLE_CHARS, TASK_CHARS = 120, 300  # what fits on a line, and in a calendar's entry


class PlannedTask(BaseModel):
    """Something to do in a week, and which of the plan's sources it rests on."""

    title: str
    sources: list[int] = []


class Week(BaseModel):
    """One week of a plan: its milestone and the tasks that lead there."""

    week: int
    title: str
    effort: int  # 1..10, against the other weeks of the plan
    tasks: list[PlannedTask]


class Source(BaseModel):
    """A passage that a plan may rest on."""

    id: int  # from 1, within the plan
    source: str
    excerpt: str
    score: float  # cosine, -1..1


class Change(BaseModel):
    """What a version of a plan makes of one week."""

    week: int
    change: str = Field(description="kept, changed, added or removed")
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


Problems = dict[int, list[str]]  # week -> what is wrong with it


def find_problems(
    weeks: Sequence[Week],
    *,
    total: int,
    sources: Iterable[int],
    target: date | None,
    fixed: Iterable[int] = (),
) -> Problems:
    """Return what breaks the rules, by week. A plan without problems keeps all of them.

    One milestone for each week from 1 to `total`; 3 to 5 different tasks in each; no week lighter
    than the one before, and the last harder than the first; only known sources; no date after the
    target date. Weeks that are `fixed` are not judged, but their neighbours are against them.
    """
    known, kept = set(sources), set(fixed)
    by_week = {one.week: one for one in weeks}
    problems: Problems = {}
    before = 0
    for number in range(1, total + 1):
        week = by_week.get(number)
        found = _alone(week, known, target) if week else ["there is no milestone for this week"]
        if week and week.effort < before:
            found.append(f"effort {week.effort} is lighter than the {before} of a week before")
        if week and week.effort <= MAX_EFFORT:
            before = max(before, week.effort)
        if found and number not in kept:
            problems[number] = found
    for number in set(by_week) - set(range(1, total + 1)):
        problems[number] = [f"the plan has {total} weeks"]
    return problems or _rises(by_week, total, kept)


def _rises(by_week: dict[int, Week], total: int, kept: set[int]) -> Problems:
    first, last = by_week[1], by_week[total]
    if total == 1 or total in kept or last.effort > first.effort:
        return {}
    if first.effort == MAX_EFFORT and 1 not in kept:
        return {1: [f"effort {MAX_EFFORT} leaves nothing harder for the last week"]}
    return {total: [f"effort {last.effort} is no harder than the {first.effort} of week 1"]}


def _alone(week: Week, known: set[int], target: date | None) -> list[str]:
    """Return what is wrong with a week by itself."""
    titles = [" ".join(task.title.split()).casefold() for task in week.tasks]
    texts = [week.title, *(task.title for task in week.tasks)]
    cited = {one for task in week.tasks for one in task.sources}
    late = [day for text in texts for day in dates_in(text) if target and day > target]
    checks = [
        (not MIN_TASKS <= len(titles) <= MAX_TASKS, f"{len(titles)} tasks; 3 to 5 are needed"),
        (len(set(titles)) < len(titles), "a task stands there twice"),
        (not all(text.strip() for text in texts), "a title is empty"),
        (len(week.title) > TITLE_CHARS, f"the milestone has over {TITLE_CHARS} characters"),
        (any(len(t) > TASK_CHARS for t in titles), f"a task has over {TASK_CHARS} characters"),
        (not 1 <= week.effort <= MAX_EFFORT, f"effort {week.effort} is not from 1 to 10"),
        (not cited <= known, f"unknown sources {sorted(cited - known)}"),
        (bool(late), f"{', '.join(map(str, late))} is after the target date {target}"),
    ]
    return [told for broken, told in checks if broken]


def shown(week: Week) -> dict[str, Any]:
    """Return a week as `plan_json` holds it: tasks as plain texts, citations beside them."""
    return {
        "week": week.week,
        "title": week.title,
        "tasks": [task.title for task in week.tasks],
        "effort": week.effort,
        "citations": [
            {"task": place, "source": source}
            for place, task in enumerate(week.tasks)
            for source in task.sources
        ],
    }


def read_back(milestone: dict[str, Any]) -> Week:
    """Return the week that `shown` has put into a `plan_json`."""
    tasks = [PlannedTask(title=title) for title in milestone["tasks"]]
    for one in milestone["citations"]:
        tasks[one["task"]].sources.append(one["source"])
    return Week(**{k: milestone[k] for k in ("week", "title", "effort")}, tasks=tasks)


def differences(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> list[Change]:
    """Return what has become of each week, in order; weeks as `plan_json` holds them."""
    old, new = ({one["week"]: one for one in weeks} for weeks in (before, after))
    changes = []
    for week in sorted(old | new):
        was, is_ = old.get(week), new.get(week)
        if was == is_:
            changes.append(Change(week=week, change="kept"))
        else:
            word = "added" if was is None else "removed" if is_ is None else "changed"
            changes.append(Change(week=week, change=word, before=was, after=is_))
    return changes

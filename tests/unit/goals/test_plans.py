import json
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.goals.calendar import first_day, slots, span, weeks_until
from models.goals.corpus import cut
from models.goals.drafts import read_week
from models.goals.fallback import fallback_week
from models.goals.plans import PlannedTask, Week, differences, find_problems, read_back, shown
from tasks.adapters.offline.planning import plan_week

GOOD = {"title": "A", "effort": 3, "tasks": [{"title": t, "source": None} for t in "abc"]}


def week(number: int, effort: int | None = None, *tasks: str, title: str = "A week") -> Week:
    given = tasks or ("One", "Two", "Three")
    effort = number if effort is None else effort
    planned = [PlannedTask(title=task) for task in given]
    return Week(week=number, title=title, effort=effort, tasks=planned)


def problems(*weeks: Week, total: int | None = None) -> dict[int, list[str]]:
    target = date(2026, 12, 31)
    return find_problems(weeks, total=total or len(weeks), sources=[1], target=target)


def test_a_plan_that_keeps_the_rules_has_no_problems() -> None:
    assert problems(week(1), week(2), week(3)) == {}


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (week(2, 2, "One", "Two"), "2 tasks"),
        (week(2, 2, *"abcdef"), "6 tasks"),
        (week(2, 2, "One", "one ", "Two"), "twice"),
        (week(2, 2, "", "Two", "Three"), "empty"),
        (week(2, 2, title=" "), "empty"),
        (week(2, 2, "x" * 301, "Two", "Three"), "300 characters"),
        (week(2, 0), "from 1 to 10"),
        (week(2, 11), "from 1 to 10"),
        (week(2, 2, "By 2027-01-01", "Two", "Three"), "after the target date"),
    ],
)
def test_what_breaks_a_rule_is_named_by_week(broken: Week, told: str) -> None:
    found = problems(week(1), broken, week(3, 10))
    assert list(found) == [2]
    assert told in " ".join(found[2])


def test_a_lighter_week_a_missing_week_and_one_too_many_are_problems() -> None:
    assert list(problems(week(1, 5), week(2, 4), week(3, 6))) == [2]
    assert list(problems(week(1), week(3), total=3)) == [2]
    assert list(problems(week(1), week(2), week(3), total=2)) == [3]
    assert list(problems(week(1, 4), week(2, 4))) == [2]
    assert list(problems(week(1, 10), week(2, 10))) == [1]


def test_a_source_that_nobody_gave_is_a_problem() -> None:
    invented = week(1)
    invented.tasks[0].sources = [7]
    assert "unknown sources [7]" in problems(invented)[1]


@pytest.mark.parametrize("total", [1, 2, 6, 8, 12, 52])
def test_the_fallback_and_the_offline_plan_keep_the_rules(total: int) -> None:
    fallback = [fallback_week(number, total=total) for number in range(1, total + 1)]
    offline: list[Week] = []
    for number in range(1, total + 1):
        told = {
            "title": "Learn to swim", "week": number, "weeks": total,
            "least_effort": max([one.effort for one in offline], default=1),
            "sources": [{"id": 1, "source": "a.md", "excerpt": "Breathe out under the water."}],
        }  # fmt: skip
        offline.append(read_week(json.dumps(plan_week(told)), number))
    assert problems(*fallback) == {}
    assert problems(*offline) == {}


@pytest.mark.parametrize(
    ("answer", "tasks"),
    [
        (json.dumps(GOOD), 3),
        (f"Gladly:\n```json\n{json.dumps(GOOD)}\n```", 3),
        (json.dumps(GOOD)[:-1], 3),
        (json.dumps(GOOD)[:-30], 2),
        ("no JSON", 0),
        ("{}", 0),
        ("", 0),
        ("}{", 0),
        ('{"title": 3, "effort": "hard", "tasks": 1}', 0),
    ],
)
def test_an_answer_counts_as_far_as_it_goes(answer: str, tasks: int) -> None:
    assert len(read_week(answer, 1).tasks) == tasks


@given(st.text())
def test_no_answer_breaks_the_reader(answer: str) -> None:
    assert read_week(answer, 1).week == 1


def test_a_week_comes_back_from_plan_json_as_it_went_in() -> None:
    one = week(1)
    one.tasks[1].sources = [1]
    assert read_back(shown(one)) == one


def test_differences_name_what_became_of_each_week() -> None:
    before = [shown(week(1)), shown(week(2)), shown(week(3))]
    after = [shown(week(1)), shown(week(2, 7)), shown(week(4))]
    told = [(one.week, one.change) for one in differences(before, after)]
    assert told == [(1, "kept"), (2, "changed"), (3, "removed"), (4, "added")]


def test_a_plan_begins_on_the_next_monday_unless_it_then_ended_too_late() -> None:
    saturday = date(2026, 11, 21)
    assert first_day(saturday, weeks=2, target=None) == date(2026, 11, 23)
    assert first_day(saturday, weeks=2, target=date(2026, 12, 6)) == date(2026, 11, 23)
    assert first_day(saturday, weeks=2, target=date(2026, 12, 5)) == date(2026, 11, 22)
    assert weeks_until(date(2026, 11, 22), saturday) == 1
    assert weeks_until(date(2026, 11, 29), saturday) == 2


@given(
    st.integers(1, 52), st.integers(3, 5), st.integers(1, 400),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
)  # fmt: skip
def test_no_task_lies_past_the_target_date(number: int, count: int, days: int, zone: str) -> None:
    target = date(2026, 11, 22) + timedelta(days=days)
    times = slots(span(date(2026, 11, 23), number, target), count, zone)
    assert len(set(times)) == count
    assert times == sorted(times)
    assert all(begin.date() <= target for begin, _ in times)


def test_tasks_stand_at_nine_by_the_clock_on_both_sides_of_a_change_of_time() -> None:
    before, after = (
        slots(span(date(2026, 10, 19), number, None), 3, "Europe/Berlin")[0][0] for number in (1, 2)
    )
    assert before == datetime(2026, 10, 19, 7, tzinfo=UTC)
    assert after == datetime(2026, 10, 26, 8, tzinfo=UTC)


@given(st.text(alphabet="ab .\n", max_size=300), st.integers(10, 50), st.integers(0, 9))
def test_passages_keep_their_size_and_lose_nothing(text: str, size: int, overlap: int) -> None:
    assert all(0 < len(one) <= size for one in cut(text, size=size, overlap=overlap))
    whole = "".join(cut(text, size=size, overlap=0))
    assert "".join(whole.split()) == "".join(text.split())

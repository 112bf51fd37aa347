"""The plan that is made when no model gives one: the same for every goal, and marked as such."""

from models.goals.plans import MAX_EFFORT, PlannedTask, Week

STAGES = [
    (
        "Find out where you stand",
        [
            "Write down in one sentence what reaching the goal looks like",
            "Note where you stand today, in numbers where you can",
            "List what you have, what is missing and who could help",
        ],
    ),
    (
        "Begin small",
        [
            "Do the smallest useful part of the goal",
            "Choose a fixed time of the day for it, and keep to it once",
            "Note what went well and what got in the way",
        ],
    ),
    (
        "Make it a habit",
        [
            "Do your part of the goal at its fixed time",
            "Remove one thing that got in the way last week",
            "Do a second, slightly longer session",
            "Look back: compare with where you began",
        ],
    ),
    (
        "Do more of it",
        [
            "Do a longer session than any before",
            "Work on what you find hardest",
            "Show somebody what you have done, and ask what they think",
            "Look back, and correct what does not lead to the goal",
        ],
    ),
    (
        "Reach the goal",
        [
            "Do the hardest part that is still missing",
            "Try out the whole of it, as if it counted",
            "Mend what that has shown",
            "Compare the result with the sentence of the first week",
            "Decide what you want to keep up from here on",
        ],
    ),
]


def fallback_week(week: int, *, total: int, floor: int = 1) -> Week:
    """Return week `week` of `total`; its effort is at least `floor`."""
    done = (week - 1) / max(1, total - 1)
    title, tasks = STAGES[round(done * (len(STAGES) - 1))]
    effort = max(floor, round(1 + done * (MAX_EFFORT - 1)))
    return Week(
        week=week,
        title=title,
        effort=effort,
        tasks=[PlannedTask(title=task) for task in tasks],
    )

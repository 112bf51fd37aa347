"""What the scripted model server writes of a plan; the first word of the goal's title says how.

Truncated   the second week breaks off in its first task, until its repair
Invalid     no JSON for any week, until its repair
Hopeless    no JSON at all
Obedient    one task for each week, as the goal's description demands
others      a week that keeps the rules
"""

import json
from typing import Any


def told_of(body: dict[str, Any]) -> dict[str, Any]:
    """Return the facts that a request gives."""
    found: dict[str, Any] = json.JSONDecoder().raw_decode(body["messages"][1]["content"])[0]
    return found


def week_of(body: dict[str, Any]) -> tuple[str, str]:
    """Return the answer, and why it ends."""
    told = told_of(body)
    first = "broke the rules" not in body["messages"][1]["content"]
    manner, number = told["title"].split()[0], told["week"]
    if manner == "Hopeless" or (manner == "Invalid" and first):
        return "I would rather not.", "stop"
    count = 1 if manner == "Obedient" else 3 if number * 2 <= told["weeks"] else 5
    tasks = [
        {"title": f"Task {k} of week {number} for {told['title']}", "source": None}
        for k in range(1, count + 1)
    ]
    effort = max(told["least_effort"], round(1 + 9 * (number - 1) / max(1, told["weeks"] - 1)))
    text = json.dumps({"title": f"Milestone {number}", "effort": effort, "tasks": tasks})
    if manner == "Truncated" and number == 2 and first:
        return text[: text.index("Task 1") + 20], "length"
    return text, "stop"

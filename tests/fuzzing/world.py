"""What a fuzz run finds: books and their casts, talks, goals, a webhook, their jobs.

Ids that nobody has given out end at the door; most requests are to get further.
"""

import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx

from models.accounts import LOCAL_USER_ID

NOVEL = Path(__file__).parents[1] / "data/novels/DaisyMiller.txt"
NOVEL_CHARS = 15_000  # a chapter
BOOKS, GOALS, TALKS = 3, 10, 4
KNOWN = 0.8  # of the ids that are sent
IN_BODIES = ("book_id", "character_id", "parent_goal_id", "session_id", "webhook_id")
ENDS_S = 120.0
Ids = defaultdict[str, list[str]]


def make(client: httpx.Client) -> Ids:
    """Make some of everything over HTTP; return the ids, by the names of the parameters."""
    ids: Ids = defaultdict(list)
    for number in range(BOOKS):
        _read_book(client, ids, f"Daisy Miller {number}")
    for _ in range(TALKS):
        _talk(client, ids, ids["character_id"][0])  # who is named most has been given a voice
    for number in range(GOALS):
        goal = _done(client.post("/goals", json={"user_id": "me", "title": f"Run {number}"}))
        ids["goal_id"].append(goal["id"])
    said = {"user_id": "me", "message": "Learn chess"}
    opened = _done(client.post("/goals/start", json=said))
    ids["conversation_id"].append(opened["conversation_id"])
    ids["parent_goal_id"] = ids["goal_id"]
    hook = {"url": "https://longrun.example/hook"}
    ids["webhook_id"].append(_done(client.post("/webhooks", json=hook))["id"])
    ids["job_id"] += [job["id"] for job in _done(client.get("/jobs?limit=100"))["jobs"]]
    ids["user_id"] = ids["uid"] = [str(LOCAL_USER_ID)]
    ids["version"] = ["1", "2"]
    return ids


def _read_book(client: httpx.Client, ids: Ids, title: str) -> None:
    upload = {"file": ("novel.txt", NOVEL.read_text()[:NOVEL_CHARS].encode(), "text/plain")}
    told = {"title": title, "top": "2", "min_mentions": "1"}
    book = _done(client.post("/books", data=told, files=upload))
    _ended(client, book["job_id"])
    ids["book_id"].append(book["id"])
    cast = _done(client.get(f"/books/{book['id']}/characters"))["characters"]
    ids["character_id"] += [one["id"] for one in cast]


def _talk(client: httpx.Client, ids: Ids, character: str) -> None:
    session = _done(client.post("/chat-sessions", json={"character_id": character}))["session_id"]
    path = f"/chat-sessions/{session}/messages"
    answer = client.post(path, json={"message": "Who are you?"}).raise_for_status()
    _ended(client, answer.headers["x-job-id"])
    ids["session_id"].append(session)
    ids["message_id"] += [one["id"] for one in _done(client.get(path))["messages"]]


def _ended(client: httpx.Client, job_id: str) -> None:
    give_up = time.monotonic() + ENDS_S
    while time.monotonic() < give_up:
        if _done(client.get(f"/jobs/{job_id}?wait=10"))["finished_at"]:
            return
    raise AssertionError(f"{job_id} has not ended")


def _done(answer: httpx.Response) -> Any:
    assert answer.is_success, answer.text
    return answer.json()


def describe(ids: Ids) -> str:
    """Return schemathesis's settings: these ids are sent mostly, except to have them deleted."""
    lines = []
    for name, values in ids.items():
        lines += [f"[dictionaries.{name}]", f"values = {json.dumps(values)}"]
    lines += ["[[operations]]", 'exclude-method = "DELETE"', "[operations.parameters]"]
    where = [f"path.{name}" for name in ids] + [f"body.{name}" for name in IN_BODIES]
    for place in where:
        bound = f'{{ dictionary = "{place.partition(".")[2]}", probability = {KNOWN} }}'
        lines.append(f'"{place}" = {bound}')
    return "\n".join(lines) + "\n"

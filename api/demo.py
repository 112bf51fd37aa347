"""A reader's first visit: bring a novel, watch it being read in, talk to somebody from it.

Speaks to a running server over HTTP like anybody else; knows nothing of its inside.
"""

import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from httpx_sse import connect_sse
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table

NOVEL = Path(__file__).resolve().parents[1] / "tests/data/novels/PrideAndPrejudice.txt"
HOST, PORT = os.environ.get("WEB_HOST", "127.0.0.1"), os.environ.get("WEB_PORT", "8000")
BASE = os.environ.get("LONGRUN_URL", f"http://{HOST}:{PORT}")
FLOWER = os.environ.get("LONGRUN_FLOWER_URL", "http://127.0.0.1:5555")
QUESTION = "What do you think of Mr. Darcy's pride?"
READING_LIMIT_S = 600.0


class Bars:
    """A progress bar per step, drawn from the job's events."""

    def __init__(self, progress: Progress, client: httpx.Client, job_id: str) -> None:
        """Draw for one job; the plan's steps come first, so that one sees what is to come."""
        self.progress, self.client, self.job_id = progress, client, job_id
        self.tasks: dict[str, TaskID] = {}
        self.items: Counter[str] = Counter()
        for row in self._plan():
            if row["name"] not in self.tasks:
                self.tasks[row["name"]] = progress.add_task(row["name"], total=1, unit="")

    def _plan(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.client.get(
            f"/jobs/{self.job_id}/steps", params={"output": "false"}
        ).json()
        return rows

    def show(self, kind: str, told: dict[str, Any]) -> None:
        """Draw one event."""
        name = told.get("step", "")
        if name not in self.tasks:
            return
        task = self.tasks[name]
        if kind == "step.started" and told.get("item") and not self.items[name]:
            total = sum(row["name"] == name for row in self._plan())
            self.progress.update(task, total=total, unit="items")
        if kind == "step.progress" and not told.get("item"):
            done, total = told["done"], max(told["total"], told["done"])
            self.progress.update(task, completed=done, total=total, unit=told["message"])
        if kind == "step.succeeded":
            self.items[name] += 1
            if told.get("item"):
                self.progress.update(task, completed=self.items[name])
            else:
                done = self.progress.tasks[task].total
                self.progress.update(task, completed=done)
        if kind in ("step.retrying", "step.failed", "step.released"):
            self.progress.console.print(f"  {kind} {name}: {told['error']['message']}")

    def leave_out_the_rest(self) -> None:
        """Take away the bars of steps that there was nothing to do for."""
        for task in self.tasks.values():
            if not self.progress.tasks[task].completed:
                self.progress.update(task, visible=False)


def read_in(client: httpx.Client, console: Console) -> dict[str, Any]:
    """Bring the novel and follow its job; return the book."""
    began = time.monotonic()
    with NOVEL.open("rb") as file:
        answer = client.post(
            "/books",
            data={"title": "Pride and Prejudice", "author": "Jane Austen"},
            files={"file": (NOVEL.name, file, "text/plain")},
        )
    answer.raise_for_status()
    book: dict[str, Any] = answer.json()
    columns = (
        TextColumn("  {task.description:<16}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
    )  # fmt: skip
    with Progress(*columns, console=console) as progress:
        bars = Bars(progress, client, book["job_id"])
        status = follow(client, f"/jobs/{book['job_id']}/events", bars)
        bars.leave_out_the_rest()
    console.print(f"  {status} after {time.monotonic() - began:.1f} s\n")
    if not status.startswith("succeeded"):
        raise SystemExit(f"The book could not be read in; see {BASE}/books/{book['id']}")
    return book


def follow(client: httpx.Client, path: str, bars: Bars) -> str:
    """Follow a job's events to its end; a lost connection goes on where it was."""
    last, deadline = "", time.monotonic() + READING_LIMIT_S
    while time.monotonic() < deadline:
        try:
            headers = {"Last-Event-ID": last} if last else {}
            with connect_sse(client, "GET", path, headers=headers, timeout=30) as source:
                for event in source.iter_sse():
                    last = event.id or last
                    if not event.data:  # a ping
                        continue
                    if event.event == "end":
                        return str(event.json()["status"])
                    bars.show(event.event, event.json())
        except httpx.TransportError:
            time.sleep(1)
    raise SystemExit("The book is not ready after ten minutes; see the logs in .longrun/logs.")


def show_cast(client: httpx.Client, console: Console, book: dict[str, Any]) -> list[dict[str, Any]]:
    """Print the cast as a table and return it."""
    page = client.get(f"/books/{book['id']}/characters", params={"limit": 20}).json()
    cast: list[dict[str, Any]] = page["characters"]
    table = Table("name", "aliases", "quotes", "mentions", "pronouns", title="The cast")
    for one in cast:
        aliases = ", ".join(one["aliases"][:5])
        table.add_row(
            one["name"], aliases, str(one["quote_count"]), str(one["mention_count"]),
            one["pronouns"] or "?",
        )  # fmt: skip
    console.print(table)
    return cast


def talk(client: httpx.Client, console: Console, book: dict[str, Any], who: dict[str, Any]) -> str:
    """Ask a character a question, print the reply as it comes, and return the session's id."""
    session = client.post("/chat-sessions", json={"character_id": who["id"]}).json()
    body = {
        "user_id": "00000000-0000-4000-8000-000000000001",
        "character_id": who["id"],
        "book_id": book["id"],
        "session_id": session["session_id"],
        "user_message": QUESTION,
    }
    console.print(f"\n[bold]You:[/bold] {QUESTION}\n[bold]{who['name']}:[/bold] ", end="")
    key = {"Idempotency-Key": str(uuid4())}
    with connect_sse(client, "POST", "/character/chat", json=body, headers=key) as source:
        for event in source.iter_sse():
            told = event.json() if event.data else {}
            console.print(told.get("token", told.get("error", "")), end="", markup=False)
    messages = client.get(f"/chat-sessions/{session['session_id']}/messages").json()["messages"]
    details = messages[-1]["metadata"]
    console.print(f"\n  (by {details['model']}, from {len(details['passages'])} passages)\n")
    return str(session["session_id"])


def main() -> None:
    """Show the main job on a real novel."""
    console = Console()
    with httpx.Client(base_url=BASE, timeout=60) as client:
        console.print("\nReading [italic]Pride and Prejudice[/italic] in:")
        book = read_in(client, console)
        cast = show_cast(client, console, book)
        who = next((one for one in cast if one["name"].startswith("Elizabeth")), cast[0])
        session = talk(client, console, book, who)
    console.print(f"The stack goes on running; `make down` stops it.\n\n  API docs  {BASE}/docs")
    console.print(f"  Flower    {FLOWER}\n\nAsk on:\n")
    sys.stdout.write(
        f"  curl -N {BASE}/character/chat -H 'Content-Type: application/json' -d '{{\"user_id\":"
        f'"00000000-0000-4000-8000-000000000001","character_id":"{who["id"]}",'
        f'"book_id":"{book["id"]}","session_id":"{session}",'
        '"user_message":"Who is your dearest friend?"}\'\n'
        f"  curl -N {BASE}/jobs/{book['job_id']}/events\n\n"
    )


if __name__ == "__main__":
    main()

"""What a stream looks like: cursors, what can be in it, and the engine's own dialect."""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol, TypeAlias

from models.errors import Invalid
from models.jobs.streams import END, PER_ATTEMPT, Entry

MAX_SEQ = 10**9  # far beyond any log; longer digits are no number of ours
MAX_N = 10**6 * PER_ATTEMPT


class InvalidCursor(Invalid):
    """A cursor has the form `<event>-<entry>`, as the stream's ids do."""

    code = "invalid_cursor"


class Cursor(NamedTuple):
    """How far a reader has come in each of the two logs."""

    seq: int = 0
    n: int = 0

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """Return the cursor of a stream id. Raises InvalidCursor."""
        if not text:
            return cls()
        seq, dash, n = text.partition("-")
        if not (dash and text.isascii() and seq.isdigit() and n.isdigit()):
            raise InvalidCursor()
        if len(text) > 32 or int(seq) > MAX_SEQ or int(n) > MAX_N:
            raise InvalidCursor()
        return cls(int(seq), int(n))

    def over(self, content: "Content") -> "Cursor":
        """Return the cursor behind `content`; the same one if that lies behind it already."""
        if isinstance(content, Event):
            return Cursor(max(self.seq, content.seq), self.n)
        return Cursor(self.seq, max(self.n, content.n))

    def behind_the_end(self) -> "Cursor":
        """Return the cursor of who has read to here and then the end.

        No entry has its number: another attempt, if the job is resumed, begins far beyond it.
        """
        return Cursor(self.seq, self.n + 1)

    def covers(self, other: "Cursor") -> bool:
        """Say whether this reader has everything that the other one has."""
        return self.seq >= other.seq and self.n >= other.n


class Event(NamedTuple):
    """One line of a job's log."""

    seq: int
    type: str
    data: dict[str, Any]


Content: TypeAlias = Event | Entry


class Ended(NamedTuple):
    """How a job has ended, and the text it has streamed."""

    status: str
    error: dict[str, Any] | None
    text: str


class Rendering(Protocol):
    """A dialect of the stream: what its content looks like on the wire, without the `id:` line."""

    def event(self, event: Event) -> str | None:
        """Return an event's lines, or None when this dialect does not show it."""
        ...

    def entry(self, entry: Entry) -> str | None:
        """Return a stream entry's lines, or None when this dialect does not show it."""
        ...

    def ended(self, end: Ended) -> str:
        """Return the lines of the last frame."""
        ...


class EngineRendering:
    """The engine's own dialect: named events with JSON."""

    def event(self, event: Event) -> str | None:
        """Show every event under its type."""
        return f"event: {event.type}\ndata: {_json(event.data)}\n\n"

    def entry(self, entry: Entry) -> str | None:
        """Show tokens and whatever else a step has emitted."""
        if entry.kind == END:
            return None
        return f"event: {entry.kind}\ndata: {_json({entry.kind: entry.data})}\n\n"

    def ended(self, end: Ended) -> str:
        """Close with the job's status."""
        told = {"status": end.status} | ({"error": end.error} if end.error else {})
        return f"event: end\ndata: {_json(told)}\n\n"


ENGINE = EngineRendering()


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    for line_end in "\u2028\u2029\x85":  # to clients that split lines as Python does
        text = text.replace(line_end, f"\\u{ord(line_end):04x}")
    return text


def encode(contents: Iterable[Content], cursor: Cursor, rendering: Rendering) -> bytes:
    """Return the frames of what lies beyond `cursor`, each under the id that it moves on to."""
    frames = []
    for content in contents:
        cursor, before = cursor.over(content), cursor
        if cursor != before and (lines := _lines(content, rendering)) is not None:
            frames.append(f"id: {cursor.seq}-{cursor.n}\n{lines}")
    return "".join(frames).encode()


def _lines(content: Content, rendering: Rendering) -> str | None:
    return rendering.event(content) if isinstance(content, Event) else rendering.entry(content)

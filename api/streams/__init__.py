"""A stream is a file: each reader has a place of its own in a job's logs and waits at their end."""

from api.streams.hub import Hub, current_hub, finished
from api.streams.logs import Start
from api.streams.wire import (
    ENGINE,
    Cursor,
    Ended,
    EngineRendering,
    Event,
    InvalidCursor,
    Rendering,
)  # fmt: skip

__all__ = [
    "ENGINE", "Cursor", "Ended", "EngineRendering", "Event", "Hub", "InvalidCursor", "Rendering",
    "Start", "current_hub", "finished",
]  # fmt: skip

"""LiteLLM, told to keep to itself, on an event loop of its own.

Its asynchronous side is used, though steps are plain functions: only there can a request that hangs
be ended from outside, and be given a limit on its whole length.
"""

import asyncio
import os
import queue
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import aclosing
from typing import Any, TypeVar

import httpx
import litellm

from config.settings import settings
from tasks.adapters.offline.provider import OfflineProvider

OFFLINE = "offline"
AHEAD = 256  # pieces of an answer that may wait for their reader; then the provider has to
AHEAD_PAUSE_S = 0.01
NO_KEY = "none"  # for servers that want none; without one, LiteLLM looks in the environment

litellm.suppress_debug_info = True
litellm.disable_streaming_logging = True
litellm.turn_off_message_logging = True
litellm.custom_provider_map = [{"provider": OFFLINE, "custom_handler": OfflineProvider()}]

T = TypeVar("T")


def is_offline(model: str) -> bool:
    """Say whether a model is our own stand-in."""
    return model.startswith(f"{OFFLINE}/")


def connection_options(model: str) -> dict[str, Any]:
    """Return how a model is reached. LiteLLM never retries: the engine does."""
    options: dict[str, Any] = {
        "num_retries": 0,
        "max_retries": 0,
        "drop_params": True,  # a model without a temperature answers without it
        "timeout": httpx.Timeout(settings.llm.timeout_s, connect=settings.llm.connect_timeout_s),
    }
    if is_offline(model):
        return options
    key = settings.llm.api_key.get_secret_value()
    if settings.llm.api_base:
        # A key that lies around in the environment is not for this address.
        return options | {"api_base": settings.llm.api_base, "api_key": key or NO_KEY}
    return options | {"api_key": key} if key else options


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`. Raises TimeoutError after `LLM_TOTAL_TIMEOUT_S`."""
    working = asyncio.run_coroutine_threadsafe(_limited(work), _loop())
    try:
        return working.result()
    finally:
        working.cancel()  # also when this thread is interrupted


def relay(answer: AsyncGenerator[str, None]) -> Iterator[str]:
    """Yield what `answer` yields on the loop, and "" whenever nothing comes for a while.

    The empty pieces let a reader look whether it should go on. Closing the iterator cancels
    `answer`, also in mid-wait. Raises TimeoutError after `LLM_TOTAL_TIMEOUT_S`.
    """
    pieces: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    carried = asyncio.run_coroutine_threadsafe(_limited(_carry(answer, pieces)), _loop())
    carried.add_done_callback(lambda _: pieces.put(None))
    try:
        while True:
            try:
                piece = pieces.get(timeout=settings.engine.cancel_poll_s)
            except queue.Empty:
                piece = ""
            if piece is None:
                break
            yield piece
        carried.result()
    finally:
        carried.cancel()


async def _carry(
    answer: AsyncGenerator[str, None], pieces: "queue.SimpleQueue[str | None]"
) -> None:
    async with aclosing(answer):
        async for piece in answer:
            pieces.put(piece)
            while pieces.qsize() > AHEAD:
                await asyncio.sleep(AHEAD_PAUSE_S)


async def _limited(work: Coroutine[Any, Any, T]) -> T:
    async with asyncio.timeout(settings.llm.total_timeout_s):
        return await work


_starting = threading.Lock()
_running: tuple[int, asyncio.AbstractEventLoop] | None = None


def _loop() -> asyncio.AbstractEventLoop:
    """Return this process's loop, started on first use (in a pool's child: after the fork)."""
    global _running
    with _starting:
        if _running is None or _running[0] != os.getpid():
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="models", daemon=True).start()
            _running = os.getpid(), loop
        return _running[1]

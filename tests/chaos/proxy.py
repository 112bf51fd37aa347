"""A TCP proxy whose connections can be disturbed in every way in which networks fail."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Coroutine
from typing import Any

CHUNK = 65_536
BACKLOG = 128
LATENCY_S = 0.15  # a link around half the world

Address = tuple[str, int] | str  # host and port, or the path of a unix socket


class Pair:
    """One connection of a client, and the one to the server that belongs to it."""

    def __init__(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.client_reader, self.client = client
        self.server_reader, self.server = server
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.swallows = False  # what the client still says goes nowhere
        self.haunts = False  # the server does not learn that its client has gone

    def reset(self) -> None:
        """End both sides as a crash does: RST."""
        _reset(self.client)
        _reset(self.server)


class Link:
    """A listener in front of one server."""

    def __init__(self, name: str, target: Address) -> None:
        self.name, self.target = name, target
        self.port = 0
        self.pairs: set[Pair] = set()
        self.opened = 0
        self._delay_s = 0.0
        self._refusing = False
        self._silent = False
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen on a free port of loopback."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=BACKLOG)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """End all connections, and listen no more."""
        if self._server is not None:
            self._server.close()
        for pair in list(self.pairs):
            pair.reset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._connect(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry a new connection; it lasts as long as this task."""
        if self._refusing:
            _reset(writer)
            return
        try:
            server = await self._dial()
        except OSError:
            _reset(writer)
            return
        pair = Pair((reader, writer), server)
        if self._silent:
            pair.flowing.clear()
        self.pairs.add(pair)
        self.opened += 1
        try:
            await self._carry(pair)
        finally:
            self.pairs.discard(pair)
            _close(pair.client)
            _close(pair.server)

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.target, str):
            return await asyncio.open_unix_connection(self.target)
        return await asyncio.open_connection(*self.target)

    async def _carry(self, pair: Pair) -> None:
        up = asyncio.create_task(self._pump(pair, pair.client_reader, pair.server, up=True))
        down = asyncio.create_task(self._pump(pair, pair.server_reader, pair.client, up=False))
        try:
            await asyncio.gather(up, down)
        finally:
            up.cancel()
            down.cancel()

    async def _pump(
        self, pair: Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool
    ) -> None:
        """Carry one direction to its end; what breaks ends both."""
        try:
            while data := await reader.read(CHUNK):
                await pair.flowing.wait()
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                if not (up and pair.swallows):
                    writer.write(data)
                    await writer.drain()
            await pair.flowing.wait()
            if writer.can_write_eof():
                writer.write_eof()
        except (OSError, RuntimeError):  # the latter: its writer has been closed meanwhile
            if not pair.haunts:
                pair.reset()

    # -- faults; each returns when it is over

    def disturb(self, kind: str, lasts_s: float) -> Coroutine[Any, Any, None]:
        """Return the fault of this kind."""
        return {
            "latency": self._latency,
            "cut": self._cut,
            "reset": self._reset_all,
            "slow close": self._slow_close,
            "half open": self._half_open,
            "ghost": self._ghost,
        }[kind](lasts_s)

    async def _latency(self, lasts_s: float) -> None:
        """Everything is late."""
        self._delay_s = LATENCY_S
        try:
            await asyncio.sleep(lasts_s)
        finally:
            self._delay_s = 0.0

    async def _cut(self, lasts_s: float) -> None:
        """All connections end in good order, and there is no new one for a while."""
        self._refusing = True
        for pair in list(self.pairs):
            _close(pair.client)
            _close(pair.server)
        try:
            await asyncio.sleep(lasts_s)
        finally:
            self._refusing = False

    async def _reset_all(self, _: float) -> None:
        """All connections end by RST; new ones are welcome."""
        for pair in list(self.pairs):
            pair.reset()

    async def _slow_close(self, lasts_s: float) -> None:
        """The server's side ends first: the client reads the end, and writes to nobody."""
        closing = list(self.pairs)
        for pair in closing:
            pair.swallows = True
            with contextlib.suppress(OSError, RuntimeError):
                pair.client.write_eof()
        await asyncio.sleep(lasts_s)
        for pair in closing:
            _close(pair.client)
            _close(pair.server)

    async def _half_open(self, lasts_s: float) -> None:
        """Nothing comes through and nobody is told; then whoever speaks learns it by RST."""
        self._silent = True
        for pair in self.pairs:
            pair.flowing.clear()
        try:
            await asyncio.sleep(lasts_s)
        finally:
            self._silent = False
            for pair in [one for one in self.pairs if not one.flowing.is_set()]:
                pair.reset()
                pair.flowing.set()

    async def _ghost(self, lasts_s: float) -> None:
        """The clients are gone, and the server holds on to what they have left behind."""
        left = list(self.pairs)
        for pair in left:
            pair.haunts = True
            pair.flowing.clear()
            _reset(pair.client)
        await asyncio.sleep(lasts_s)
        for pair in left:
            pair.reset()
            pair.flowing.set()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the other end gets RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):
            linger = struct.pack("ii", 1, 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


def _close(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, RuntimeError):
        writer.close()

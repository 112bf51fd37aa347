"""Each way in which a connection fails, as its two ends see it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.chaos.proxy import Link

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
SOON_S = 10.0


class Server:
    """Hands out the server's end of each connection."""

    def __init__(self) -> None:
        self.ends: asyncio.Queue[Ends] = asyncio.Queue()
        self.opened: list[asyncio.StreamWriter] = []

    def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened.append(writer)
        self.ends.put_nowait((reader, writer))

    async def dial(self, link: Link) -> Ends:
        reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
        self.opened.append(writer)
        return reader, writer

    async def close(self) -> None:
        for writer in self.opened:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@pytest.fixture
async def link() -> AsyncIterator[tuple[Link, Server]]:
    server = Server()
    async with await asyncio.start_server(server.take, "127.0.0.1", 0) as listening:
        made = Link("here-there", listening.sockets[0].getsockname())
        await made.open()
        yield made, server
        await made.close()
        await server.close()


async def connect(link: tuple[Link, Server]) -> tuple[Ends, Ends]:
    """Return both ends of a connection that has carried something."""
    here = await link[1].dial(link[0])
    there = await link[1].ends.get()
    here[1].write(b"hello")
    assert await there[0].readexactly(5) == b"hello"
    return here, there


async def told(reader: asyncio.StreamReader) -> bytes | type[Exception]:
    """What a reader hears next: bytes, the end (empty), a reset."""
    try:
        return await asyncio.wait_for(reader.read(100), SOON_S)
    except ConnectionResetError:
        return ConnectionResetError


async def test_a_link_carries_both_ways_and_tells_of_the_end(link: tuple[Link, Server]) -> None:
    here, there = await connect(link)
    there[1].write(b"welcome")
    assert await told(here[0]) == b"welcome"

    here[1].write_eof()
    assert await told(there[0]) == b""
    there[1].write(b"last words")
    assert await told(here[0]) == b"last words"
    there[1].close()
    assert await told(here[0]) == b""


async def test_a_reset_is_heard_on_both_sides(link: tuple[Link, Server]) -> None:
    here, there = await connect(link)

    await link[0].disturb("reset", 0)

    assert await told(here[0]) is ConnectionResetError
    assert await told(there[0]) is ConnectionResetError
    await connect(link)


async def test_a_cut_link_takes_no_new_connection_for_a_while(link: tuple[Link, Server]) -> None:
    here, there = await connect(link)
    cut = asyncio.create_task(link[0].disturb("cut", 0.3))

    assert await told(here[0]) == b""
    assert await told(there[0]) == b""
    refused = await link[1].dial(link[0])
    assert await told(refused[0]) is ConnectionResetError
    await cut
    await connect(link)


async def test_a_half_open_link_is_silent_and_then_reset(link: tuple[Link, Server]) -> None:
    here, there = await connect(link)
    silence = asyncio.create_task(link[0].disturb("half open", 0.3))
    await asyncio.sleep(0)
    here[1].write(b"is anybody there?")

    assert await told(there[0]) is ConnectionResetError, "nothing was carried"
    assert await told(here[0]) is ConnectionResetError
    await silence
    await connect(link)


async def test_a_ghost_is_a_connection_whose_server_knows_nothing(
    link: tuple[Link, Server],
) -> None:
    here, there = await connect(link)
    haunting = asyncio.create_task(link[0].disturb("ghost", 0.5))

    assert await told(here[0]) is ConnectionResetError
    assert not haunting.done()
    assert not there[0].at_eof()
    assert await told(there[0]) is ConnectionResetError
    await haunting


async def test_a_slow_close_lets_the_client_speak_to_nobody(link: tuple[Link, Server]) -> None:
    here, there = await connect(link)
    closing = asyncio.create_task(link[0].disturb("slow close", 0.3))

    assert await told(here[0]) == b""
    here[1].write(b"one more thing")
    assert await told(there[0]) == b""
    await closing


async def test_a_slow_link_loses_nothing(link: tuple[Link, Server]) -> None:
    here, there = await connect(link)
    slowness = asyncio.create_task(link[0].disturb("latency", 0.3))
    await asyncio.sleep(0)
    here[1].write(b"a" * 100_000)
    here[1].write_eof()

    assert await asyncio.wait_for(there[0].read(-1), SOON_S) == b"a" * 100_000
    await slowness

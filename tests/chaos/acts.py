"""What people do with the engine's own pipelines: every kind of step, every verb of the API."""

import asyncio

from tests.chaos.load import Act, Load

STOPPED = ("cancelled", "succeeded")


async def line(load: Load) -> None:
    """A chain over two queues, watched."""
    job = await load.start("tests.line", "line", effects=("first", "last"), sleep_s=0.5)
    load.watched(job, readers=1)
    await load.ended(job)


async def fan(load: Load) -> None:
    """A fan-out, siblings, a join."""
    count = load.dice.randint(0, 6)
    job = await load.start("tests.fan", "fan", effects=("record",), count=count, sleep_s=0.2)
    await load.ended(job)


async def tolerant(load: Load) -> None:
    """A fan-out that goes on without an item."""
    ends = ["succeeded_degraded"]
    await load.ended(await load.start("tests.tolerant", "tolerant", ends=ends, fail=["n1"]))


async def halves(load: Load) -> None:
    """A step that keeps a checkpoint, and fails once."""
    folder = load.folder / f"halves-{load.acts['halves']}"
    folder.mkdir(exist_ok=True)
    await load.ended(await load.start("tests.halves", "halves", folder=str(folder)))


async def asking(load: Load) -> None:
    """A step that waits for a person; the answer may arrive twice."""
    job = await load.start("tests.asking", "asking")
    while (await load.ask("GET", f"/jobs/{job}")).json()["status"] != "waiting":
        await asyncio.sleep(0.4)
    answer = {"step": "ask_name", "value": {"name": "Ada"}}
    told = await load.ask("POST", f"/jobs/{job}/answer", json=answer)
    assert told.status_code in (202, 409), told.text
    await load.ended(job)


async def speaking(load: Load) -> None:
    """A stream with readers that come and go."""
    count = load.dice.randint(40, 160)
    job = await load.start("tests.speaking", "speaking", effects=("keep",), count=count, sleep_s=3)
    load.watched(job)
    await load.ended(job)


async def cancelled(load: Load) -> None:
    """A job that is stopped at some moment, perhaps too late."""
    job = await load.start("tests.line", "cancelled", ends=STOPPED, sleep_s=2)
    await asyncio.sleep(load.dice.uniform(0, 3))
    await load.ask("POST", f"/jobs/{job}/cancel")
    await load.ended(job)


async def resumed(load: Load) -> None:
    """A job that fails, is mended, and goes on."""
    folder = load.folder / f"resumed-{load.acts['resumed']}"
    folder.mkdir(exist_ok=True)
    wishes = {"folder": str(folder), "fail": ["flaky_step"]}
    job = await load.start("tests.line", "resumed", effects=("first", "last"), **wishes)
    await load.ended(job)
    (folder / "mended").touch()
    load.forget_end(job)
    told = await load.ask("POST", f"/jobs/{job}/resume")
    assert told.status_code in (202, 409), told.text
    await load.ended(job)


async def forked(load: Load) -> None:
    """A new job that begins at another one's third step."""
    job = await load.start("tests.line", "line", effects=("first", "last"))
    if await load.ended(job) != "succeeded":
        return  # it is taken up again when all is quiet
    told = await load.ask("POST", f"/jobs/{job}/fork", json={"step": "on_cpu"})
    told.raise_for_status()


async def keyed(load: Load) -> None:
    """Jobs that wait for one another."""
    folder = load.folder / f"keyed-{load.acts['keyed']}"
    folder.mkdir(exist_ok=True)
    for pipeline in ("tests.keyed", "tests.paired", "tests.keyed", "tests.paired"):
        await load.start(pipeline, "keyed", folder=str(folder), key=folder.name, sleep_s=0.3)
    items = [{"key": f"n{k}", "value": k} for k in range(3)]
    await load.ended(await load.start("tests.keyed_each", "keyed", items=items))


ENGINE: dict[str, Act] = {
    one.__name__: one
    for one in (line, fan, tolerant, halves, asking, speaking, cancelled, resumed, forked, keyed)
}

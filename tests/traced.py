"""A process that is traced: `python -m tests.traced FOLDER` runs jobs in itself and says their ids.

It asks over HTTP, runs what is due, lets one job fail, and resumes, retries and forks it. With the
word `model` after the folder it asks a model before.
"""

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from config.db import transaction
from config.logging import configure
from models.base import new_id
from tasks import tracing
from tasks.pipeline import Pipeline
from tasks.tools import LLM, Message
from tests import inline, pipelines


class Question(BaseModel):
    text: str


class Reply(BaseModel):
    text: str


def ask_model(question: Question, llm: LLM) -> Reply:
    logging.getLogger(__name__).warning("A model is asked.")
    told = Message(role="user", content=question.text)
    whole = llm.complete([told], purpose="chat", max_tokens=9)
    streamed = "".join(llm.stream([told], purpose="chat"))
    return Reply(text=whole.text + streamed)


asking = Pipeline("tests.ask_model", ask_model, input=Question, startable=True)


async def main(folder: str) -> dict[str, Any]:
    told: dict[str, Any] = {}
    above = {"traceparent": "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"}
    secret = {"text": "Nobody is to read this."}
    async with inline.api() as client:

        async def post(path: str, body: dict[str, Any], **headers: str) -> str:
            answer = await client.post(path, json=body, headers=headers)
            assert answer.status_code == 202, answer.text
            job_id: str = answer.json()["id"]
            await asyncio.to_thread(inline.drain)
            await asyncio.to_thread(tracing.tell_ended)
            return job_id

        if "model" in sys.argv:
            told["asked"] = await post("/jobs/tests.ask_model?token=hidden", secret, **above)
        failing = {"fail": ["flaky_step"], "folder": folder}
        told["failed"] = await post("/jobs/tests.line", failing, **above)
        Path(folder, "mended").touch()
        told["resumed"] = await post(f"/jobs/{told['failed']}/resume", {})
        told["retried"] = await post(f"/jobs/{told['failed']}/retry", {})
        told["forked"] = await post(f"/jobs/{told['failed']}/fork", {"step": "on_cpu"})
        assert (await client.get(f"/jobs/{new_id()}")).status_code == 404
        assert (await client.get("/health")).status_code == 200
    with transaction() as session:  # as a beat does
        job = pipelines.asking.start(session, pipelines.Numbers(), owner=pipelines.OWNER)
        told["scheduled"] = str(job.id)
    return told


if __name__ == "__main__":
    configure()
    print(json.dumps(asyncio.run(main(sys.argv[1]))))

"""Deliveries in the trace of the job that they speak of."""

import httpx
from starlette.concurrency import run_in_threadpool

from config import tracing
from tasks.tracing import tell_ended
from tests.integration.webhooks.receiver import Receiver
from tests.integration.webhooks.telling import deliver, make, run
from tests.otlp_receiver import Receiver as Collector


async def test_a_delivery_goes_on_with_the_trace_of_its_job(
    client: httpx.AsyncClient, receiver: Receiver, collector: Collector
) -> None:
    await make(client)

    job = await run(client)
    await deliver()
    await run_in_threadpool(tell_ended)
    await run_in_threadpool(tracing.flush)

    sent = collector.named("deliver webhook")
    ((_, headers, _),) = receiver.messages
    assert headers["traceparent"].startswith(f"00-{sent.trace}-{sent.id}-")
    own = collector.named("job tests.fan")
    assert (sent.trace, sent.parent) == (own.trace, own.id)
    assert sent.attributes["longrun.job.id"] == job["id"]
    assert sent.attributes["http.response.status_code"] == 204
    attempt = next(one for one in collector.spans if one.name.startswith("webhooks.deliver."))
    assert attempt.trace != sent.trace
    assert attempt.id in sent.links
    assert "hooks.example" not in str([one.attributes for one in collector.spans])


async def test_a_delivery_says_nothing_of_traces_while_there_are_none(
    client: httpx.AsyncClient, receiver: Receiver
) -> None:
    await make(client)

    await run(client)
    await deliver()

    assert "traceparent" not in receiver.messages[0][1]

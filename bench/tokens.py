"""Tokens of a model through Longrun and through a LiteLLM proxy, over asking the model directly.

The model is the tests' scripted server, which sends a token every 10 ms. All three are asked in
turn, over connections that are kept open.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from bench.figures import Figure, bounded, compared, median, percentile
from bench.servers import accepts, free_port, process, wait_until, web, worker

REQUESTS = 40
WARM_UP = 8
TOKENS = 100
INTERVAL_S = 0.01
PROXY_PATIENCE_S = 180.0


@dataclass(frozen=True, slots=True)
class Arrivals:
    """When the tokens of one answer came."""

    first_s: float  # after the request was sent
    later_s: list[float]  # after the model had sent them
    lasted_s: float  # from the first to the last
    sending_s: float  # the same by the model's own clock


def measure(scale: float) -> list[Figure]:
    """Ask many times in turn, and compare when tokens arrive."""
    with ExitStack() as stack:
        model = _model(stack)
        os.environ |= {"MODELS_CHAT": "openai/clock", "LLM_API_BASE": f"{model}/v1"}
        stack.enter_context(worker("stream", "bench.worker", slots=8))
        port, _ = stack.enter_context(web("bench.web:app"))
        client = stack.enter_context(httpx.Client(timeout=60))
        proxy = _proxy(stack, model)
        chat = {"model": "clock", "stream": True, "messages": [{"role": "user", "content": "Go."}]}
        asked: dict[str, tuple[str, dict[str, Any], Callable[[Any], str]]] = {
            "direct": (f"{model}/v1/chat/completions", chat, _openai),
            "proxy": (f"{proxy}/v1/chat/completions", chat, _openai),
            "ours": (f"http://127.0.0.1:{port}/bench/ask", {"run": "Go."}, _ours),
        }
        found: dict[str, list[Arrivals]] = {name: [] for name in asked}
        for number in range(WARM_UP + max(5, int(REQUESTS * scale))):
            for name, (url, body, read) in asked.items():
                arrivals = _ask(client, url, body, read)
                if number >= WARM_UP:
                    found[name].append(arrivals)
    return _figures(found)


def _figures(found: dict[str, list[Arrivals]]) -> list[Figure]:
    first = {name: [1000 * one.first_s for one in answers] for name, answers in found.items()}
    p50 = _beyond({name: median(values) for name, values in first.items()})
    p95 = _beyond({name: percentile(values, 0.95) for name, values in first.items()})
    later = _beyond(
        {
            name: median([1000 * at for one in answers for at in one.later_s])
            for name, answers in found.items()
        }
    )
    slowed = _slowed({n: median([one.sending_s for one in of]) for n, of in found.items()})
    seen = _slowed({n: median([one.lasted_s for one in of]) for n, of in found.items()})
    direct = f"{median(first['direct']):.1f} ms"
    return [
        compared(
            "first token, added over asking directly, p50", p50["ours"], "ms",
            p50["proxy"], "ms added by a LiteLLM proxy", at_most=1.0,
            note=f"p95 {p95['ours']:.1f} ms, the proxy's {p95['proxy']:.1f} ms; directly {direct}",
        ),
        bounded("first token, added, p50", p50["ours"], "ms", at_most=25.0),
        bounded(
            "later tokens, added on their way, p50", later["ours"], "ms",
            at_most=30.0, note=f"by the proxy {later['proxy']:.1f} ms",
        ),
        bounded(
            f"model slowed in sending {TOKENS} tokens, by its own clock", slowed["ours"], "%",
            at_most=2.0, note=f"by the proxy {slowed['proxy']:.1f} %; first to last as the reader "
            f"has them {seen['ours']:.1f} %, through the proxy {seen['proxy']:.1f} %",
        ),
    ]  # fmt: skip


def _beyond(values: dict[str, float]) -> dict[str, float]:
    """Return by how much each exceeds what was measured directly."""
    return {name: value - values["direct"] for name, value in values.items()}


def _slowed(seconds: dict[str, float]) -> dict[str, float]:
    """Return how much longer each took than directly, in percent."""
    return {name: 100 * (value / seconds["direct"] - 1) for name, value in seconds.items()}


def _model(stack: ExitStack) -> str:
    port = free_port()
    command = f"tests.scripted_model --port {port} --tokens {TOKENS} --interval {INTERVAL_S}"
    stack.enter_context(process(command))
    wait_until(lambda: accepts(port), "the scripted model")
    return f"http://127.0.0.1:{port}"


def _proxy(stack: ExitStack, model: str) -> str:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    reached = {"model": "openai/clock", "api_base": f"{model}/v1", "api_key": "none"}
    config = folder / "proxy.yaml"
    config.write_text(
        yaml.safe_dump({"model_list": [{"model_name": "clock", "litellm_params": reached}]})
    )
    port = free_port()
    command = f"litellm.proxy.proxy_cli --config {config} --port {port} --host 127.0.0.1"
    alone = {"DATABASE_URL": "", "REDIS_URL": ""}  # it would take ours for its own
    unsafe = {"LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}
    stack.enter_context(process(command, **alone, **unsafe))
    wait_until(lambda: accepts(port), "the LiteLLM proxy", PROXY_PATIENCE_S)
    return f"http://127.0.0.1:{port}"


def _ask(
    client: httpx.Client, url: str, body: dict[str, Any], read: Callable[[Any], str]
) -> Arrivals:
    came: list[float] = []
    left: list[float] = []
    sent = time.time()
    with client.stream("POST", url, json=body) as answer:
        assert answer.status_code == 200, answer.read()
        for line in answer.iter_lines():
            if line.startswith("data: {") and (told := read(json.loads(line[6:]))):
                came.append(time.time())
                left.append(float(told))
    assert len(came) == TOKENS, f"{len(came)} tokens of {url}"
    later = [at - since for at, since in zip(came[1:], left[1:], strict=True)]
    return Arrivals(came[0] - sent, later, came[-1] - came[0], left[-1] - left[0])


def _openai(told: Any) -> str:
    choices = told.get("choices") or [{}]
    return str(choices[0].get("delta", {}).get("content") or "")


def _ours(told: Any) -> str:
    return str(told.get("token", ""))

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

Arrivals = list[float]  # of tokens, in seconds after the request was sent


def measure(scale: float) -> list[Figure]:
    """Ask many times in turn, and compare when tokens arrive."""
    with ExitStack() as stack:
        model = _model(stack)
        os.environ |= {"MODELS_CHAT": "openai/plain", "LLM_API_BASE": f"{model}/v1"}
        stack.enter_context(worker("stream", "bench.worker", slots=8))
        port, _ = stack.enter_context(web("bench.web:app"))
        client = stack.enter_context(httpx.Client(timeout=60))
        proxy = _proxy(stack, model)
        chat = {"model": "plain", "stream": True, "messages": [{"role": "user", "content": "Go."}]}
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
    first = {name: [1000 * one[0] for one in answers] for name, answers in found.items()}
    base = median(first["direct"])
    added = {name: median(values) - base for name, values in first.items()}
    spread = f"p95 {percentile(first['ours'], 0.95) - base:.1f} ms; direct {base:.1f} ms"
    usual = [median(column) for column in zip(*found["direct"], strict=True)]
    later = {
        name: [
            1000 * (at - expected)
            for answer in answers
            for at, expected in zip(answer[1:], usual[1:], strict=True)
        ]
        for name, answers in found.items()
    }
    lasted = {
        name: median([one[-1] - one[0] for one in answers]) for name, answers in found.items()
    }
    slowed = 100 * (lasted["ours"] / lasted["direct"] - 1)
    return [
        compared(
            "first token, added over asking directly, p50", added["ours"], "ms",
            added["proxy"], "ms added by a LiteLLM proxy", at_most=1.0, note=spread,
        ),
        bounded("first token, added, p50", added["ours"], "ms", at_most=25.0),
        bounded(
            "later tokens, added, p50", median(later["ours"]), "ms", at_most=30.0,
            note=f"by the proxy {median(later['proxy']):.1f} ms",
        ),
        bounded("stream of 100 tokens slowed by", slowed, "%", at_most=2.0),
    ]  # fmt: skip


def _model(stack: ExitStack) -> str:
    port = free_port()
    command = f"tests.scripted_model --port {port} --tokens {TOKENS} --interval {INTERVAL_S}"
    stack.enter_context(process(command))
    wait_until(lambda: accepts(port), "the scripted model")
    return f"http://127.0.0.1:{port}"


def _proxy(stack: ExitStack, model: str) -> str:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    reached = {"model": "openai/plain", "api_base": f"{model}/v1", "api_key": "none"}
    config = folder / "proxy.yaml"
    config.write_text(
        yaml.safe_dump({"model_list": [{"model_name": "plain", "litellm_params": reached}]})
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
    arrivals: Arrivals = []
    sent = time.perf_counter()
    with client.stream("POST", url, json=body) as answer:
        assert answer.status_code == 200, answer.read()
        for line in answer.iter_lines():
            if line.startswith("data: {") and read(json.loads(line[6:])):
                arrivals.append(time.perf_counter() - sent)
    assert len(arrivals) == TOKENS, f"{len(arrivals)} tokens of {url}"
    return arrivals


def _openai(told: Any) -> str:
    choices = told.get("choices") or [{}]
    return str(choices[0].get("delta", {}).get("content") or "")


def _ours(told: Any) -> str:
    return str(told.get("token", ""))

"""What the offline model answers: a task of our pipelines, or else a plain word about itself."""

import json
from collections.abc import Callable
from typing import Any

from tasks.adapters.offline.analysis import analysis, system_prompt
from tasks.adapters.offline.memory import summary
from tasks.adapters.offline.planning import plan_week
from tasks.adapters.offline.reply import reply
from tasks.adapters.offline.words import content_words, distinct

Facts = dict[str, Any]
Schema = dict[str, Any]

SHOWN_CHARS = 200  # of a message that is repeated


def answer(extra: Facts, messages: list[dict[str, Any]], schema: Schema | None = None) -> str:
    """Return the answer; with a `schema` it is a JSON object that fits it.

    `extra["task"]` says what is asked; the rest of `extra` are the facts to answer from.
    """
    form = FORMS.get(str(extra.get("task")))
    if form is not None:
        filled = form(extra)
        return json.dumps(fitted(filled, schema) if schema else filled, ensure_ascii=False)
    if schema is not None:
        return json.dumps(fitted({}, schema))
    text = TEXTS.get(str(extra.get("task")))
    return echo(messages) if text is None else text(extra)


def rewrite(extra: Facts) -> Facts:
    """Return the two queries of a message: for search by meaning, and by keywords."""
    message, name = str(extra.get("message", "")), str(extra.get("name", ""))
    # "You" and "your" mean the character; in the novel they are spoken of by name.
    keywords = distinct([*content_words(message), *([name] if name else [])])
    return {"narrative": f"{name}: {message}", "keywords": " ".join(keywords)}


def echo(messages: list[dict[str, Any]]) -> str:
    """Return what there is to say about a conversation that is no task of ours."""
    asked = [str(turn.get("content") or "") for turn in messages if turn.get("role") == "user"]
    shown = " ".join(asked[-1].split())[:SHOWN_CHARS] if asked else ""
    return f"No model is configured, so there is no answer to this: {shown}"


def fitted(filled: Facts, schema: Schema) -> Facts:
    """Return the properties that a schema asks for, what we do not know left empty."""
    definitions = schema.get("$defs", {})
    return {
        name: filled[name] if name in filled else _empty(kind, definitions)
        for name, kind in schema.get("properties", {}).items()
    }


def _empty(schema: Schema, definitions: dict[str, Schema]) -> Any:
    if reference := schema.get("$ref"):
        schema = definitions[reference.rpartition("/")[2]]
    if choices := schema.get("enum") or ([schema["const"]] if "const" in schema else None):
        return choices[0]
    if options := schema.get("anyOf"):
        kinds = [option.get("type") for option in options]
        return None if "null" in kinds else _empty(options[0], definitions)
    if schema.get("type") == "object":
        properties = schema.get("properties", {})
        return {name: _empty(kind, definitions) for name, kind in properties.items()}
    empty = {"array": [], "integer": 0, "number": 0.0, "boolean": False, "null": None}
    return empty.get(str(schema.get("type")), "")


FORMS: dict[str, Callable[[Facts], Facts]] = {
    "character_analysis": analysis,
    "plan_week": plan_week,
    "query_rewrite": rewrite,
}
TEXTS: dict[str, Callable[[Facts], str]] = {
    "system_prompt": system_prompt,
    "character_reply": reply,
    "talk_summary": summary,
}

"""How dining merges preferences."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from models.dining import merge

LEAVES = some.none() | some.booleans() | some.integers() | some.text()
JSON = some.recursive(
    LEAVES, lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner), max_leaves=12
)
OBJECTS = some.dictionaries(some.text(max_size=2), JSON, max_size=4)


@given(OBJECTS, OBJECTS)
def test_merging_the_same_again_changes_nothing(old: dict[str, Any], new: dict[str, Any]) -> None:
    once = merge(old, new)

    assert merge(once, new) == once


@given(OBJECTS, OBJECTS)
def test_no_key_and_no_array_item_is_lost(old: dict[str, Any], new: dict[str, Any]) -> None:
    merged = merge(old, new)

    assert merged.keys() == old.keys() | new.keys()
    for name, value in old.items():
        if isinstance(value, list) and isinstance(new.get(name, []), list):
            assert all(item in merged[name] for item in value)
            assert merged[name][: len(value)] == value

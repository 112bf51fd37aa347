"""The worked example of CONTRIBUTING.md works."""

import sys
import types
from pathlib import Path

from tasks.declaration import Kind
from tasks.pipeline import REGISTRY

GUIDE = Path(__file__).resolve().parents[2] / "CONTRIBUTING.md"


def test_the_worked_example_declares_a_pipeline_that_runs(database_url: str) -> None:
    from tests.inline import drain
    from tests.stack import prepare_owner, read, start

    source = GUIDE.read_text().split("```python\n")[1].split("```")[0]
    module = types.ModuleType("example_of_contributing")
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, str(GUIDE), "exec"), vars(module))
        pipeline = REGISTRY["books.count_words"]
        kinds = [spec.kind for spec in pipeline.specs]
        prepare_owner()
        pages = [{"number": 1, "text": "one two"}, {"number": 2, "text": "three"}]
        job_id = start(pipeline, pipeline.parse({"pages": pages}))
        drain()
        told = read(job_id)
    finally:
        REGISTRY.pop("books.count_words", None)
        del sys.modules[module.__name__]

    assert kinds == [Kind.PURE, Kind.PURE, Kind.WRITING]
    assert (told.status, told.output) == ("succeeded", {"words": 3})

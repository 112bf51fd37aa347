"""What is done: each long operation of the products, one file per operation.

Importing this package declares every pipeline, so that worker, beat and API know them all.
"""

from importlib import import_module
from pkgutil import walk_packages

from tasks.firing import check_schedulable, problems_of, trigger
from tasks.pipeline import REGISTRY, Pipeline, get_pipeline, get_startable, tell_after_commit

for _module in walk_packages(__path__, prefix="pipelines."):
    import_module(_module.name)

__all__ = [
    "REGISTRY", "Pipeline", "check_schedulable", "get_pipeline", "get_startable", "problems_of",
    "tell_after_commit", "trigger",
]  # fmt: skip

"""Delete blobs that nobody has needed for a day."""

from pydantic import BaseModel

from tasks.firing import upkeep
from tasks.pipeline import Pipeline, step
from tasks.tools import BlobPruner, Progress

EVERY_S = 3600


class PruneBlobs(BaseModel):
    """Nothing needs to be said."""


class PrunedBlobs(BaseModel):
    """How many blobs were deleted."""

    blobs: int


@step()
def delete_unreferenced(wanted: PruneBlobs, pruner: BlobPruner, progress: Progress) -> PrunedBlobs:
    """Delete what no row refers to and is old enough. Raises Unavailable (retried)."""
    return PrunedBlobs(blobs=pruner.prune(progress))


prune_blobs = Pipeline("upkeep.prune_blobs", delete_unreferenced, input=PruneBlobs)
upkeep(prune_blobs, every_s=EVERY_S)

"""What collections have freed, when and by whom: a document each, in the store, so that nobody takes it for lost."""

import uuid
from datetime import datetime
from typing import Literal

from pydantic import Field, ValidationError

from partitions.errors import ArtifactError
from partitions.values import Value
from resources.files import Files

FOLDER = "gc"

FreedKind = Literal["model", "results", "dataset", "unnamed", "unfinished"]
AGAIN = {
    "model": "`mlops replay` of its run makes it again",
    "results": "`mlops replay` of its run makes it again",
    "dataset": "no run that was kept used it; the same rows taken again put it back",
}


class Freed(Value):
    """One artifact that was freed. ``unnamed``: no record named it; ``unfinished``: a killed process left it."""

    uri: str
    kind: FreedKind
    bytes: int


class Collection(Value):
    """What one collection frees. Times are UTC; ``finished_at`` None: it goes on, or was killed. ``older_than``: days.

    It is written before anything is freed, with all that is about to be.
    """

    id: str = Field(default_factory=lambda: uuid.uuid4().hex[:12])
    project: str
    by: str
    keep: int
    older_than: float
    started_at: datetime
    finished_at: datetime | None = None
    freed: tuple[Freed, ...] = ()

    @property
    def path(self) -> str:
        return f"{FOLDER}/{self.project}/{self.started_at:%Y%m%dT%H%M%S}-{self.id}.json"


def write_collection(files: Files, collection: Collection) -> None:
    files.write(collection.path, collection.model_dump_json().encode())


def collections(files: Files, project: str | None = None) -> list[Collection]:
    """Every collection (of one project), oldest first. Raises ArtifactError for a document that is none."""
    found = []
    for path in files.find(FOLDER if project is None else f"{FOLDER}/{project}"):
        try:
            found.append(Collection.model_validate_json(files.read(path)))
        except ValidationError as error:
            raise ArtifactError(f"document {path} tells of no collection: delete it") from error
    return sorted(found, key=lambda collection: (collection.started_at, collection.id))


def freed_on(files: Files, uri: str) -> str | None:
    """``freed by `mlops gc` on DATE; ...``, by the last collection that freed ``uri``; None if none did."""
    for collection in reversed(collections(files)):
        for freed in collection.freed:
            if freed.uri == uri:
                again = f"; {AGAIN[freed.kind]}" if freed.kind in AGAIN else ""
                return f"freed by `mlops gc` on {collection.started_at:%Y-%m-%d}{again}"
    return None

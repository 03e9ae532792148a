"""Processes that free and write at the same time: what ``test_collecting_processes`` lets loose."""

import hashlib
from pathlib import Path

from mlops_assets.tracking.collection import collect
from mlops_assets.tracking.survey import Asked
from mlops_assets.tracking.tracker import Tracker
from resources.artifacts import ArtifactStore
from tests.tracking.runs_logged import PROJECT, open_log


def content(number: int) -> bytes:
    return f"artifact {number}".encode() * 20


def uri(number: int) -> str:
    digest = hashlib.sha256(content(number)).hexdigest()
    return f"sha256/{digest[:2]}/{digest}.model"


def write(store: ArtifactStore, numbers: list[int]) -> list[str]:
    """Put all of them; what of them was not there right afterwards."""
    missing = []
    for number in numbers:
        artifact = store.put(content(number), ".model")
        if not (Path(store.url) / artifact.uri).exists() and not _readable(store, artifact.uri):
            missing.append(artifact.uri)
    return missing


def _readable(store: ArtifactStore, of: str) -> bool:
    """Also while it is put aside for the moment in which its age is looked at."""
    try:
        store.files.read(of)
    except FileNotFoundError:
        return False
    return True


def free(store: ArtifactStore, numbers: list[int], before: float) -> int:
    """Free all of them that were not touched; how many that were."""
    freed = 0
    for number in numbers:
        store.files.recover(uri(number), before, needed=False)
        freed += store.files.free(uri(number), before)
    return freed


def collect_until_killed(folder: Path) -> None:
    """One collection that says how far it is."""
    log = open_log(folder / "home")
    tracker = Tracker(log, PROJECT, folder / "index")

    def tell(what: str, done: int, total: int) -> None:
        if what == "freeing":
            (folder / "freeing").write_text(str(done))

    collect(tracker, ArtifactStore(str(folder / "artifacts")), Asked(keep=0, older_than=0), "me", tell)
    (folder / "done").touch()

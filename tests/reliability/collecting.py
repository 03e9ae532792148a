"""Processes that free and write at the same time: what ``test_collecting_processes`` lets loose."""

import hashlib
import random
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

from mlops_assets.tracking.collection import collect
from mlops_assets.tracking.survey import Asked
from mlops_assets.tracking.tracker import Tracker
from partitions.errors import ArtifactError
from resources.artifacts import ArtifactStore
from tests.tracking.runs_logged import PROJECT, open_log

ARTIFACTS = 2000
SPREAD = 150e-6


def content(number: int) -> bytes:
    return f"artifact {number}".encode() * 20


def uri(number: int) -> str:
    digest = hashlib.sha256(content(number)).hexdigest()
    return f"sha256/{digest[:2]}/{digest}.model"


def write(folder: Path, barrier: Barrier, seed: int) -> None:
    """Put every artifact, each at the moment in which the other process frees it; note what was not there then."""
    store, rng = ArtifactStore(str(folder / "artifacts")), random.Random(seed)
    with (folder / "missing").open("w") as missing:
        for number in range(ARTIFACTS):
            data = content(number)
            _together(barrier, rng)
            artifact = store.put(data, ".model")
            try:
                store.get(artifact)
            except ArtifactError as error:
                missing.write(f"{error}\n")


def free(folder: Path, barrier: Barrier, seed: int, before: float) -> None:
    """Free every artifact that was not touched; note how many that were."""
    store, rng = ArtifactStore(str(folder / "artifacts")), random.Random(seed)
    freed = 0
    for number in range(ARTIFACTS):
        of = uri(number)
        _together(barrier, rng)
        freed += store.files.free(of, before)
    (folder / "freed").write_text(str(freed))


def _together(barrier: Barrier, rng: random.Random) -> None:
    """Both go on at once, give or take the time that either takes for one artifact."""
    barrier.wait()
    until = time.perf_counter() + rng.random() * SPREAD
    while time.perf_counter() < until:
        pass


def collect_until_killed(folder: Path) -> None:
    """One collection that says how far it is."""
    log = open_log(folder / "home")
    tracker = Tracker(log, PROJECT, folder / "index")

    def tell(what: str, done: int, total: int) -> None:
        if what == "freeing":
            (folder / "freeing").write_text(str(done))

    collect(tracker, ArtifactStore(str(folder / "artifacts")), Asked(keep=0, older_than=0), "me", tell)
    (folder / "done").touch()

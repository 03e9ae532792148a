"""Runs of a small project, done again in processes of their own: identical, or what differs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from mlops_assets.opened_project import OpenedProject, RunsFailed, open_project
from mlops_assets.tracking.record import RunRecord
from partitions.errors import ArtifactError, CodeVersionError, MlopsError, UnknownName
from resources.parquet import decode, encode
from tests.end_to_end.conftest import PIPELINE, ProjectFolder

HEAVIER = PIPELINE.replace("Ridge(alpha=params.alpha)", "Ridge(alpha=30 * params.alpha)")
HASHED = PIPELINE.replace('features=("x", "z", "trouble")', 'features=("x", "z", "trouble", "owner")').replace(
    "X.to_numpy(dtype=float)", 'X.assign(owner=X["owner"].map(lambda h: int(h[:4], 16) / 65536)).to_numpy(dtype=float)'
)
# What it predicts follows from how many threads numeric libraries may use.
BY_THREADS = PIPELINE.replace("Ridge(alpha=params.alpha)", 'Ridge(alpha=float(os.environ.get("OMP_NUM_THREADS", "1")))')
BY_CHANCE = PIPELINE.replace(
    "Ridge(alpha=params.alpha)", "Ridge(alpha=1.0 + os.urandom(1)[0] + 256 * os.urandom(1)[0])"
)
BY_PACKAGE = PIPELINE.replace("import numpy as np", "import numpy as np\nimport tinydist").replace(
    "Ridge(alpha=params.alpha)", "Ridge(alpha=tinydist.ALPHA)"
)


def git(folder: ProjectFolder, *arguments: str) -> str:
    own = ("git", "-c", "user.name=Test", "-c", "user.email=test@example.org")
    done = subprocess.run([*own, *arguments], cwd=folder.path, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def forget() -> None:
    for name in [name for name in sys.modules if name == "lines" or name.startswith("lines.")]:
        del sys.modules[name]


def opened(folder: ProjectFolder, pipeline: str | None = None) -> OpenedProject:
    """The project as a new process would open it, with another pipeline where given."""
    if pipeline is not None:
        folder.write("lines/pipeline.py", pipeline)
    forget()
    return open_project("lines.project", home=folder.home)


@pytest.fixture
def lines(folder: ProjectFolder, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProjectFolder]:
    monkeypatch.chdir(folder.path)
    monkeypatch.syspath_prepend(str(folder.path))
    # Also the first run is made in a worker, which has the threads it is given.
    monkeypatch.setenv("MLOPS_BACKEND", "processes")
    for name in ("MLOPS_HOME", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    yield folder
    forget()


def file_of(p: OpenedProject, record: RunRecord, name: str) -> Path:
    return Path(p.home.artifacts_url) / record.artifacts[name].uri


def test_uncommitted_code_another_commit_and_folds_are_replayed_from_code_that_is_another_now(
    lines: ProjectFolder,
) -> None:
    lines.write(".gitignore", "__pycache__/\n.mlops/\n")
    git(lines, "init", "-q", "-b", "main")
    git(lines, "add", "lines", "workspace.yaml", ".gitignore")
    git(lines, "commit", "-q", "-m", "Ridge")
    git(lines, "tag", "v1")
    dirty = opened(lines, HEAVIER).run("a", seed=1)[0]
    p = opened(lines, PIPELINE.replace("1e9", "1e8"))
    committed = p.run("a", seed=1, code_version="v1")[0]
    fold = p.run("a", seed=1, folds=3)[2]
    # A subproject that was changed and registered since is replayed as it was.
    lines.declare({"a": 5.0, "b": -2.0})
    p = opened(lines)
    p.apply()
    assert dirty.code_version.dirty and dirty.code_version.patch and committed.code_version.archive
    for record in (dirty, committed, fold):
        found = p.replay(record.run_id)
        assert found.identical, found
        again = p.record(found.replay_id)
        assert (again.kind, again.parent, again.status) == ("replay", record.run_id, "succeeded")
        assert (again.fingerprint, again.predictions) == (record.fingerprint, record.predictions)
        assert again.run_id != record.run_id and again.fold == record.fold and again.tags == record.tags
        assert again.code_version.digest == record.code_version.digest
    assert list(p.runs("a", kind="replay")["parent"]) == [fold.run_id, committed.run_id, dirty.run_id]
    assert set(git(lines, "status", "--porcelain").split()) == {"M", "lines/pipeline.py", "lines/project.py"}


def test_code_outside_git_is_replayed_from_its_archive_and_a_replay_can_be_replayed(lines: ProjectFolder) -> None:
    record = opened(lines).run("a", params={"alpha": 3.0}, seed=2)[0]
    assert record.code_version.commit is None
    p = opened(lines, HEAVIER)
    first = p.replay(record.run_id[-12:])
    second = p.replay(first.replay_id)
    assert first.identical and second.identical
    assert p.record(second.replay_id).parent == first.replay_id


def test_private_columns_take_part_as_they_are_stored(lines: ProjectFolder) -> None:
    p = opened(lines, HASHED)
    record = p.run("a", seed=1)[0]
    found = p.replay(record.run_id)
    assert found.identical and "secret-owner" not in str(found.model_dump())


def test_the_command_answers_people_and_programs_and_its_exit_code_is_the_verdict(lines: ProjectFolder) -> None:
    (record,) = lines.json("run", "a", "--seed", "1")
    said = lines.mlops("replay", record["run_id"])
    assert said.stdout.startswith("identical: lines/a: same predictions, same metrics\n")
    results = json.loads(lines.mlops("show", record["run_id"], "--json").stdout)["artifacts"]["results"]
    file = lines.home / "artifacts" / results["uri"]
    flipped = decode(file.read_bytes())
    flipped["prediction"] = flipped["prediction"] + 0.5 * (flipped["key"] == "r5")
    file.write_bytes(encode(flipped))
    altered = lines.json("replay", record["run_id"], check=False)
    assert (altered["verdict"], altered["identical"], altered["predictions_identical"]) == ("altered", False, True)
    assert altered["rows"]["keys"] == ["r5"] and altered["rows"]["differ"] == 1
    # The same results, written again under the same digest, put the file right.
    assert "the replay has put it right" in altered["altered"][0]
    assert lines.json("replay", record["run_id"])["identical"]
    file.write_bytes(encode(flipped))
    told = lines.mlops("replay", record["run_id"], check=False)
    assert told.returncode == 1 and "was altered" in told.stdout and "(such as r5)" in told.stdout
    assert "no run 'nothing'" in lines.refused("replay", "nothing")


def test_every_stored_part_that_was_altered_is_told(lines: ProjectFolder) -> None:
    p = opened(lines)
    record = p.run("a", seed=1)[0]
    model = file_of(p, record, "model")
    data = bytearray(model.read_bytes())
    data[-20] ^= 1
    model.write_bytes(data)
    file_of(p, record, "configuration").write_text("params: {alpha: 70.0}")
    document = Path(p.home.artifacts_url) / "runs" / "lines" / "a" / record.run_id / "record.json"
    document.write_text(document.read_text().replace(f'"seed":{record.seed}', '"seed":77'))
    found = p.replay(record.run_id)
    assert found.verdict == "altered" and found.predictions_identical and not found.metrics
    assert [line.partition(":")[0] for line in found.altered] == ["record.json", "configuration", "model"]
    assert "seed is 77, in the event log 1" in found.altered[0]


def test_damaged_data_is_refused_before_anything_starts(lines: ProjectFolder) -> None:
    p = opened(lines)
    record = p.run("a", seed=1)[0]
    snapshot = p.state(record).snapshot
    file = Path(p.home.artifacts_url) / snapshot.artifact.uri
    whole = file.read_bytes()
    file.write_bytes(encode(pd.DataFrame({"row": ["r1"]})))
    with pytest.raises(ArtifactError, match="is damaged"):
        p.replay(record.run_id)
    file.unlink()
    with pytest.raises(ArtifactError, match="is missing"):
        p.replay(record.run_id)
    assert len(p.tracker.records()) == 1
    file.write_bytes(whole)
    assert p.replay(record.run_id).identical


def test_another_number_of_threads_is_told_when_it_matters(lines: ProjectFolder) -> None:
    p = opened(lines, BY_THREADS)
    record = p.run("a", seed=1)[0]
    assert p.replay(record.run_id).identical
    found = p.replay(record.run_id, threads=2)
    assert found.verdict == "differs" and found.rows is not None and found.rows.differ == 120
    assert found.rows.largest is not None and found.rows.largest > 0
    assert [(d.name, d.before, d.after) for d in found.environment] == [("threads", "1", "2")]
    assert found.environment[0].since is not None and found.environment[0].since.run_id == found.replay_id
    assert {metric.name for metric in found.metrics} == {"rmse", "mae"}
    assert found.first_other is not None and found.last_same is not None


def install(folder: ProjectFolder, version: str, alpha: float) -> None:
    """A distribution of one module, as pip would leave it."""
    for old in folder.path.glob("tinydist-*.dist-info"):
        old.rename(old.with_name(f"tinydist-{version}.dist-info"))
    info = f"tinydist-{version}.dist-info"
    folder.write("tinydist.py", f"ALPHA = {alpha}\n")
    folder.write(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tinydist\nVersion: {version}\n")
    folder.write(f"{info}/top_level.txt", "tinydist\n")
    folder.write(f"{info}/RECORD", "tinydist.py,,\n")


def test_a_package_that_was_upgraded_is_told_and_one_that_is_gone_too(lines: ProjectFolder) -> None:
    lines.write("lines/pipeline.py", BY_PACKAGE)
    install(lines, "1.0", 2.0)
    (run,) = lines.json("run", "a", "--seed", "1")
    first = lines.json("replay", run["run_id"])
    assert first["identical"] and first["environment"] == []
    install(lines, "2.0", 50.0)
    (later,) = lines.json("run", "b", "--seed", "1")
    found = lines.json("replay", run["run_id"], check=False)
    assert found["verdict"] == "differs" and later["run_id"] != found["replay_id"]
    changed = {item["name"]: (item["before"], item["after"]) for item in found["environment"]}
    # Without a lock file the lock digest is over what is installed.
    before, after = changed.pop("lock")
    assert before != after and changed == {"package tinydist": ("1.0", "2.0")}
    assert found["first_other"]["run_id"] == found["replay_id"]
    assert found["last_same"]["run_id"] == first["replay_id"]
    (lines.path / "tinydist.py").unlink()
    lines.write("lines/pipeline.py", PIPELINE)
    failed = lines.json("replay", run["run_id"], check=False)
    assert failed["verdict"] == "failed" and "tinydist" in failed["error"]
    kept = {row["run_id"]: row for row in lines.json("runs", "a")}
    assert kept[failed["replay_id"]]["status"] == "failed" and kept[failed["replay_id"]]["kind"] == "replay"


def test_code_that_does_not_repeat_is_told(lines: ProjectFolder) -> None:
    p = opened(lines, BY_CHANCE)
    found = p.replay(p.run("a", seed=1)[0].run_id)
    assert found.verdict == "differs" and found.environment == () and found.altered == ()
    assert "the code itself does not repeat" in str(found)


def test_what_cannot_be_replayed_is_refused_and_tracks_nothing(lines: ProjectFolder) -> None:
    p = opened(lines, PIPELINE.replace('if (X["trouble"] == 1).any():', "if self.alpha == 99.0:"))
    with pytest.raises(RunsFailed):
        p.run("a", params={"alpha": 99.0}, seed=5)
    (failed,) = p.tracker.records()
    with pytest.raises(MlopsError, match=f"run {failed.run_id} of lines/a failed, so there are no results"):
        p.replay(failed.run_id)
    with pytest.raises(UnknownName):
        p.replay("no such run")
    done = p.run("a", seed=5)[0]
    (Path(p.home.artifacts_url) / (done.code_version.archive or "")).unlink()
    p = opened(lines, HEAVIER)
    with pytest.raises((ArtifactError, CodeVersionError), match="missing"):
        p.replay(done.run_id)
    assert len(p.tracker.records()) == 2

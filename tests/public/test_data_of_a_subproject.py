"""The data versions of a subproject: what each holds, when it was taken, who used it, what was expected of it."""

from pathlib import Path

import pytest

from mlops_assets.opened_project import OpenedProject, RunsFailed
from partitions.errors import DataError, UnknownName
from tests.public.conftest import declare, opened


def with_more_columns(folder: Path) -> OpenedProject:
    """The pipeline reads one column more and one less, and one of another type."""
    pipeline = folder / "lines" / "pipeline.py"
    text = pipeline.read_text()
    text = text.replace('features=("x", "z", "trouble")', 'features=("x", "w", "trouble")')
    text = text.replace('"z": z, "y": y', '"w": z, "y": y')
    text = text.replace("trouble=TROUBLES.get(config.trouble, 0))", "trouble=float(TROUBLES.get(config.trouble, 0)))")
    pipeline.write_text(text)
    return opened(folder)


@pytest.mark.usefixtures("stored_in")
def test_versions_come_with_their_runs_changes_and_times(folder: Path) -> None:
    p = opened(folder)
    first = p.train(["a"])[0]
    p.train(["a"])
    second = p.run("a", seed=1)[0]
    p = with_more_columns(folder)
    third = p.train(["a"])[0]
    newest, oldest = p.data_versions("a")
    assert (newest.data_version, oldest.data_version) == (third.data_version, first.data_version)
    assert (newest.taken, oldest.taken) == (1, 2)
    assert newest.runs == (third.run_id,)
    assert oldest.runs[0] == first.run_id and second.run_id in oldest.runs and len(oldest.runs) == 3
    assert newest.rows == oldest.rows == 120 and newest.bytes is not None and newest.bytes > 1000
    assert newest.changes is not None and oldest.changes is None
    assert (newest.changes.added, newest.changes.removed) == (("w",), ("z",))
    assert newest.changes.retyped == {"trouble": ("int64", "float64")}
    assert str(newest.changes) == "+ w, - z, trouble int64 -> float64"
    assert oldest.first_seen is not None and oldest.last_seen is not None and oldest.first_seen < oldest.last_seen
    assert "owner" not in (oldest.columns or {})


def test_content_that_comes_back_is_the_same_version_and_the_newest_again(folder: Path) -> None:
    for slope in (1.0, 2.0, 1.0):
        declare(folder, {"a": slope})
        p = opened(folder)
        p.apply()
        p.train(["a"])
    frame = p.data("a")
    assert list(frame["taken"]) == [2, 1]
    assert frame["first_seen"][0] < frame["first_seen"][1] < frame["last_seen"][0]
    assert list(frame["columns_added"]) == [[], None]
    versions = list(frame["data_version"])
    assert p.dataset("a").equals(p.dataset("a", versions[0]))
    assert not p.dataset("a").equals(p.dataset("a", versions[1][:8]))
    assert len(p.dataset("a")) == 120


EXPECTED = """
        if config.slope == 1.0:
            return []
        limits = {"column": "y", "max_value": 9.0}
        severity = "warning" if config.slope == 50.0 else "error"
        return [{"type": "expect_column_values_to_be_between", "kwargs": limits, "severity": severity}]

"""


def test_what_was_expected_of_each_version_is_said(folder: Path) -> None:
    pipeline = folder / "lines" / "pipeline.py"
    text = pipeline.read_text()
    begin, end = text.index("        if config.trouble != "), text.index("    def build(")
    pipeline.write_text(text[:begin] + EXPECTED.lstrip("\n") + text[end:])
    for slope, verdict in ((1.0, None), (1.1, "passed"), (50.0, "warned"), (60.0, "failed")):
        declare(folder, {"a": slope, "b": 1.1})
        p = opened(folder)
        p.apply()
        if verdict == "failed":
            with pytest.raises(RunsFailed):
                p.train(["a", "b"])
        else:
            p.train(["a", "b"])
        assert p.data_versions("a")[0].expectations == verdict
    assert [version.expectations for version in p.data_versions("a")] == ["failed", "warned", "passed", None]
    assert [version.expectations for version in p.data_versions("b")] == ["passed"]


def test_a_snapshot_whose_event_never_came_is_there_and_taken_no_times(folder: Path) -> None:
    p = opened(folder)
    p.train(["a"])
    rows = p.dataset("a").assign(y=0.0, owner="someone")
    p.datasets.snapshot(rows, p.project.pipeline.schema, "lines/a")
    lost, known = p.data_versions("a")
    assert (lost.taken, lost.last_seen, lost.runs) == (0, None, ())
    assert known.taken == 1
    assert p.overview().statuses(["a"])[0].data_version == known.data_version


def test_a_version_whose_manifest_is_gone_is_told_from_its_event(folder: Path) -> None:
    p = opened(folder)
    version = p.train(["a"])[0].data_version
    (p.home.path / "artifacts" / "datasets" / "lines" / "a" / f"{version}.json").unlink()
    (known,) = p.data_versions("a")
    assert (known.data_version, known.rows, known.columns, known.bytes) == (version, 120, None, None)


def test_without_data_it_is_said_how_to_get_some(folder: Path) -> None:
    p = opened(folder)
    p.apply()
    with pytest.raises(DataError, match="lines/a has no dataset yet: `mlops train a`"):
        p.data("a")
    with pytest.raises(DataError, match="no dataset yet"):
        p.dataset("a")
    with pytest.raises(UnknownName, match="unknown subproject 'aa'; nearest: a"):
        p.data("aa")

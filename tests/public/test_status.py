"""Every subproject at a glance: declared against registered, data and last runs; as rows, groups and pages."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.cli.status import by_age
from mlops_assets.opened_project import OpenedProject, RunsFailed
from mlops_assets.tracking.latest_datasets import latest_datasets
from mlops_assets.tracking.overview import SubprojectStatus, by_last_status, by_state, grouped, narrowed, ordered
from partitions.dynamic import add_keys
from partitions.errors import MlopsError, UnknownName
from resources.event_log import DATA_VERSION_TAG
from tests.public.conftest import declare, opened


def of(p: OpenedProject) -> dict[str, SubprojectStatus]:
    return {status.subproject: status for status in p.overview().statuses()}


def test_before_anything_is_applied_everything_declared_is_shown(folder: Path) -> None:
    p = opened(folder)
    statuses = of(p)
    assert {key: status.state for key, status in statuses.items()} == dict.fromkeys("ab", "not applied")
    assert statuses["a"].configuration == p.declared()["a"].digest
    empty = statuses["a"].row()
    assert (empty["runs"], empty["failed"], empty["metrics"]) == (0, 0, {})
    nothing = ("data_version", "data_at", "rows", "last_run", "last_run_status", "best", "stages", "schedules")
    assert all(empty[name] is None for name in nothing)


def test_each_state_in_one_listing_with_the_tags_of_what_is_gone(folder: Path) -> None:
    declare(folder, {"a": 1.0, "b": 2.0, "gone": 3.0})
    before = opened(folder)
    before.apply()
    declare(folder, {"a": 1.0, "b": 2.5, "new": 4.0})
    p = opened(folder)
    add_keys(p.event_log.instance, "lines", ["by_hand"])
    statuses = of(p)
    assert list(statuses) == ["a", "b", "by_hand", "gone", "new"]
    states = {key: status.state for key, status in statuses.items()}
    assert states == {
        "a": "registered",
        "b": "changed",
        "by_hand": "not declared",
        "gone": "not declared",
        "new": "not applied",
    }
    assert statuses["b"].configuration == before.declared()["b"].digest != p.declared()["b"].digest
    assert statuses["gone"].tags == {"kind": "g"} and statuses["by_hand"].tags == {}
    assert by_state(statuses.values()) == {"registered": 1, "changed": 1, "not applied": 1, "not declared": 2}
    assert [s.subproject for s in narrowed(statuses.values(), ["changed", "not applied"])] == ["b", "new"]


def test_a_digest_that_was_computed_otherwise_is_no_change(folder: Path) -> None:
    p = opened(folder)
    p.apply()
    (event,) = p.event_log.latest(("lines", "configuration"), ["a"]).values()
    asset, old = dg.AssetKey(["lines", "configuration"]), {DATA_VERSION_TAG: "0" * 64}
    p.event_log.store([dg.AssetMaterialization(asset, partition="a", metadata=event.metadata, tags=old)])
    assert p.registry.digests()["a"] == "0" * 64
    status = of(p)["a"]
    assert (status.state, status.configuration) == ("registered", p.declared()["a"].digest)


def test_runs_are_counted_and_the_last_one_shown(folder: Path) -> None:
    declare(folder, {"a": 1.0, "b": 2.0, "c": 3.0}, {"b": "fit"})
    p = opened(folder)
    with pytest.raises(RunsFailed):
        p.train(["a", "b"])
    last = p.run("a", seed=3, params={"alpha": 4.0})[0]
    statuses = of(p)
    assert (statuses["a"].runs, statuses["a"].failed) == (2, 0)
    assert (statuses["b"].runs, statuses["b"].failed) == (1, 1)
    row = statuses["a"].row()
    assert row["last_run"] == last.run_id and row["metrics"] == last.metrics and row["last_run_kind"] == "dev"
    assert row["data_version"] == last.data_version and row["rows"] == 120
    assert by_last_status(statuses.values()) == {"succeeded": 1, "failed": 1, "never run": 1}
    assert [status.subproject for status in narrowed(statuses.values(), failed=True)] == ["b"]


def test_data_is_as_old_as_its_last_snapshot_whatever_it_holds(folder: Path) -> None:
    p = opened(folder)
    p.train(["a"])
    first = of(p)["a"]
    p.train(["a"])
    again = of(p)["a"]
    assert first.data_version == again.data_version
    assert first.data_at is not None and again.data_at is not None and first.data_at < again.data_at
    statuses = list(of(p).values())
    ages = [by_age(statuses, again.data_at + timedelta(days=days)) for days in (0.5, 3, 20, 99)]
    assert [next(iter(age)) for age in ages] == ["under a day old", "under a week", "under a month", "older"]
    assert all(age.pop("without any") == 1 and list(age.values()) == [1] for age in ages)


def test_the_fast_reading_of_datasets_says_what_dagster_says(folder: Path, stored_in: str) -> None:
    declare(folder, {f"s{number}": float(number) for number in range(5)}, {"s3": "ingest"})
    p = opened(folder)
    assert stored_in in type(p.event_log.instance.event_log_storage).__name__.lower()
    with pytest.raises(RunsFailed):
        p.train()
    p.train(["s1"])

    def both(*keys: str) -> tuple[dict[str, object], dict[str, object]]:
        fast = latest_datasets(p.event_log, "lines", keys or None)
        slow = p.event_log.latest(("lines", "dataset"), keys or None)
        return (
            {key: (d.data_version, d.rows, d.taken_at.timestamp()) for key, d in fast.items()},
            {
                key: (e.metadata["data_version"], e.metadata["dagster/row_count"], pytest.approx(e.timestamp, abs=0.01))
                for key, e in slow.items()
            },
        )

    fast, slow = both()
    assert fast == slow and set(fast) == {"s0", "s1", "s2", "s4"}
    fast, slow = both("s1", "s3")
    assert fast == slow and set(fast) == {"s1"}
    assert latest_datasets(p.event_log, "lines", []) == {}


def test_chosen_by_key_glob_and_tag_and_what_matches_nothing_is_refused(folder: Path) -> None:
    declare(folder, {"aa": 1.0, "ab": 2.0, "ba": 3.0})
    p = opened(folder)
    p.apply()
    assert list(p.status("a*")["subproject"]) == ["aa", "ab"]
    assert list(p.status(["ba", "aa"])["subproject"]) == ["aa", "ba"]
    assert list(p.status(tags={"kind": "b"})["tags.kind"]) == ["b"]
    for patterns, tags, said in (
        (["az"], {}, "nearest"),
        (["z*"], {}, "no subproject matches 'z\\*'"),
        (["a*"], {"kind": "b"}, "no subproject among a\\* has the tags kind=b"),
    ):
        with pytest.raises(UnknownName, match=said):
            p.status(patterns, tags=tags)


def test_sorted_by_any_column_with_what_has_no_value_last(folder: Path) -> None:
    declare(folder, {"a": 1.0, "b": 50.0, "c": 9.0, "d": 2.0})
    p = opened(folder)
    p.run(["a", "b", "c"], seed=1, params={"alpha": 50.0})
    statuses = list(of(p).values())

    def by(column: str) -> list[str]:
        return [status.subproject for status in ordered(statuses, column)]

    assert by("metrics.rmse") == ["a", "c", "b", "d"]
    assert by("-metrics.rmse") == ["b", "c", "a", "d"]
    assert by("-subproject") == ["d", "c", "b", "a"]
    assert by("-tags.kind") == ["d", "c", "b", "a"]
    with pytest.raises(MlopsError, match="--sort .*'metrics.rsme'.*metrics.rmse"):
        ordered(statuses, "metrics.rsme")
    assert [status.subproject for status in ordered(statuses, "metrics.auc", ["auc"])] == ["a", "b", "c", "d"]
    with pytest.raises(MlopsError, match="--state .*'change'.*changed"):
        narrowed(statuses, ["change"])


@pytest.mark.usefixtures("stored_in")
def test_groups_of_a_tag_count_and_average(folder: Path) -> None:
    declare(folder, {"a1": 1.0, "a2": 20.0, "b1": 3.0}, {"b1": "fit"})
    p = opened(folder)
    with pytest.raises(RunsFailed):
        p.run(["a1", "a2", "b1"], seed=1)
    statuses = of(p)
    one, other = grouped(list(statuses.values()), "kind")
    assert (one["value"], one["subprojects"], one["rows"], one["runs"]) == ("a", 2, 240, 2)
    rmse = [statuses[key].row()["metrics"]["rmse"] for key in ("a1", "a2")]
    assert one["metrics"]["rmse"] == pytest.approx(sum(rmse) / 2)
    assert (other["value"], other["last_run_status"], other["metrics"]) == ("b", {"failed": 1}, {})
    with pytest.raises(MlopsError, match="--group-by .*'kin'.*kind"):
        grouped(list(statuses.values()), "kin")

"""Registering: what is written, what it is refused for, and the history it leaves; on SQLite and on Postgres."""

import time
from pathlib import Path
from threading import Thread

import dagster as dg
import pytest

from mlops_assets.assets.configuration import Outdated, Terms, author, plan, register, still_good
from mlops_assets.tracking.registry import Registry
from partitions.dynamic import add_keys, retire_key
from partitions.errors import MlopsError, UnknownName
from partitions.gates import Threshold
from resources.registration_lock import Busy
from tests.assets.registries import declared, open_registry, prepare

ASSET = dg.AssetKey(["delays", "configuration"])
RETIRE = Terms(retire="retire", by="ada@here", why="the airline is gone")


@pytest.fixture(params=["sqlite", "postgres"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    return prepare(tmp_path / "dagster", url)


@pytest.fixture
def registry(folder: Path) -> Registry:
    return open_registry(folder)


def events(registry: Registry, key: str) -> int:
    return len(list(registry.event_log.events(registry.asset, [key])))


def test_only_what_differs_is_written_and_everything_is_read_back(registry: Registry) -> None:
    wanted = declared("AA", "B6", "DL")
    assert register(registry, wanted).new == ("AA", "B6", "DL")
    assert registry.keys() == ["AA", "B6", "DL"] and registry.configurations() == wanted
    assert registry.digests() == {key: configuration.digest for key, configuration in wanted.items()}

    assert register(registry, wanted).nothing
    changed = {**wanted, **declared("B6", hub="JFK")}
    assert list(register(registry, changed).changed) == ["B6"]
    assert [events(registry, key) for key in wanted] == [1, 2, 1]
    assert registry.configurations(["B6"])["B6"].tags == {"hub": "JFK"}


def test_a_registration_says_what_changed_by_whom_and_why(registry: Registry) -> None:
    register(registry, declared("AA"), Terms(by="ada@here"))
    register(registry, declared("AA", gates=[Threshold("rmse", max=35.0)]), Terms(by="bob@there", why="too lax"))
    first, second = registry.history("AA")
    assert (first.what, first.by, first.why, first.changes) == ("registered", "ada@here", None, ())
    assert (second.what, second.by, second.why) == ("changed", "bob@there", "too lax")
    paths = {change.path: (change.before, change.after, change.origin) for change in second.changes}
    assert paths["gates.threshold_rmse.max"] == (40.0, 35.0, "project")
    assert second.configuration == registry.configurations()["AA"]
    assert second.digest == second.configuration.digest != first.digest
    assert abs(time.time() - second.at.timestamp()) < 60 and first.at <= second.at

    (event,) = list(registry.event_log.events(registry.asset, ["AA"]))[1:]
    assert "| `gates.threshold_rmse.max` | `40.0` | `35.0` | project |" in event.metadata["changed"]
    assert event.tags["dagster/data_version"] == second.digest


def test_retiring_is_refused_unless_it_is_said_and_then_takes_no_history(registry: Registry) -> None:
    register(registry, declared("AA", "B6"))
    with pytest.raises(MlopsError, match=r"1 registered subprojects are no longer declared \(B6\).*--allow-retire"):
        register(registry, declared("AA", "UA"))
    assert registry.keys() == ["AA", "B6"] and events(registry, "UA") == 0

    assert register(registry, declared("AA"), RETIRE).retired == ("B6",)
    assert registry.keys() == ["AA"]
    with pytest.raises(UnknownName):
        registry.configurations(["B6"])
    history = registry.history("B6")
    assert [entry.what for entry in history] == ["registered", "retired"]
    assert (history[1].by, history[1].why, history[1].configuration) == ("ada@here", "the airline is gone", None)
    assert register(registry, declared("AA")).nothing


def test_a_subproject_brought_back_finds_its_history(registry: Registry) -> None:
    register(registry, declared("AA", "B6"))
    register(registry, declared("AA"), RETIRE)
    planned = plan(registry, declared("AA", "B6", hub="JFK"))
    assert planned.new == () and [f.path for f in planned.brought_back["B6"]] == ["tags.hub"]
    register(registry, declared("AA", "B6", hub="JFK"))
    assert registry.keys() == ["AA", "B6"]
    assert [entry.what for entry in registry.history("B6")] == ["registered", "retired", "brought back"]
    register(registry, declared("AA", hub="JFK"), RETIRE)
    register(registry, declared("AA", "B6", hub="JFK"))
    assert [entry.what for entry in registry.history("B6")][2:] == ["brought back", "retired", "brought back"]
    assert registry.history("B6")[-1].changes == ()
    with pytest.raises(UnknownName):
        registry.history("ZZ")


def test_what_was_interrupted_is_finished_by_doing_it_again(registry: Registry) -> None:
    """Events come first, partitions follow: what an interrupted process leaves is made here by moving partitions."""
    instance, both = registry.event_log.instance, declared("AA", "B6")
    register(registry, both)
    for key in both:
        retire_key(instance, "delays", key)  # logged, and not yet partitions
    assert plan(registry, both).new == ("AA", "B6")
    register(registry, both)
    assert registry.keys() == ["AA", "B6"] and [events(registry, key) for key in both] == [1, 1]

    register(registry, declared("AA"), RETIRE)
    add_keys(instance, "delays", ["B6"])  # retirement logged, and still a partition
    assert [entry.what for entry in registry.history("B6")] == ["registered"]
    assert plan(registry, declared("AA")).retired == ("B6",)
    register(registry, declared("AA"), RETIRE)
    assert registry.keys() == ["AA"]
    assert [entry.what for entry in registry.history("B6")] == ["registered", "retired"]

    register(registry, both)
    retire_key(instance, "delays", "B6")  # logged as brought back, and not yet a partition
    assert list(plan(registry, both).brought_back) == ["B6"]
    register(registry, both)
    assert registry.keys() == ["AA", "B6"] and events(registry, "B6") == 2
    assert [entry.what for entry in registry.history("B6")] == ["registered", "retired", "brought back"]


def test_an_event_whose_tags_were_lost_is_logged_again_and_history_tells_it_once(registry: Registry) -> None:
    """Dagster's own storages write an event and its tags one after the other."""
    both = declared("AA", "B6")
    register(registry, both)
    changed = declared("AA", "B6", hub="JFK")
    untagged = {"configuration": changed["AA"].model_dump_json(), "event": "changed", "by": "killed"}
    registry.event_log.store([dg.AssetMaterialization(ASSET, partition="AA", metadata=untagged)])
    assert registry.digests()["AA"] == ""
    register(registry, changed)
    assert registry.digests() == {key: configuration.digest for key, configuration in changed.items()}
    assert [(entry.what, entry.by == "killed") for entry in registry.history("AA")] == [
        ("registered", False),
        ("changed", True),
    ]
    register(registry, declared("AA", hub="JFK"), RETIRE)
    untagged = {"configuration": both["B6"].model_dump_json(), "event": "brought back"}
    registry.event_log.store([dg.AssetMaterialization(ASSET, partition="B6", metadata=untagged)])
    register(registry, {**declared("AA", hub="JFK"), **declared("B6")})
    assert [entry.what for entry in registry.history("B6")] == ["registered", "changed", "retired", "brought back"]


def test_partitions_made_and_taken_away_by_hand_are_put_right(registry: Registry) -> None:
    register(registry, declared("AA", "B6"))
    instance = registry.event_log.instance
    add_keys(instance, "delays", ["UA", "ghost"])
    retire_key(instance, "delays", "B6")
    planned = plan(registry, declared("AA", "B6", "UA"))
    assert (planned.new, planned.retired, planned.brought_back) == (("B6", "UA"), ("ghost",), {})
    register(registry, declared("AA", "B6", "UA"), RETIRE)
    assert set(registry.keys()) == {"AA", "B6", "UA"} == set(registry.configurations())


def test_a_plan_that_does_not_hold_any_more_is_refused_and_says_why(registry: Registry) -> None:
    register(registry, declared("AA", "B6"))
    wanted = declared("AA", "B6", "UA")
    agreed = plan(registry, wanted)
    assert still_good(registry, wanted, agreed).differing(agreed) == []

    register(registry, {**declared("AA"), **declared("B6", hub="JFK")}, Terms(by="bob@there"))
    since = r"since the plan was made: 1 subproject \(B6\), last by bob@there at 20"
    with pytest.raises(Outdated, match=since):
        register(registry, wanted, None, agreed)
    with pytest.raises(Outdated, match=since):
        still_good(registry, wanted, agreed)
    assert registry.keys() == ["AA", "B6"]

    agreed = plan(registry, wanted)
    with pytest.raises(Outdated, match="declared otherwise than when the plan was made: YV; nothing was changed"):
        still_good(registry, declared("AA", "B6", "UA", "YV"), agreed)
    edited = agreed.model_copy(update={"new": ()})
    with pytest.raises(Outdated, match="the plan says of UA what planning does not say"):
        still_good(registry, wanted, edited)
    with pytest.raises(Outdated, match="the plan is one for project 'other'"):
        still_good(registry, wanted, agreed.model_copy(update={"project": "other"}))


def test_retirements_and_hand_made_partitions_outdate_a_plan_too(registry: Registry) -> None:
    register(registry, declared("AA", "B6"))
    agreed = plan(registry, declared("AA", "B6", "UA"))
    register(registry, declared("AA"), RETIRE)
    with pytest.raises(Outdated, match=r"\(B6\), last by ada@here"):
        register(registry, declared("AA", "B6", "UA"), None, agreed)
    agreed = plan(registry, declared("AA", "UA"))
    add_keys(registry.event_log.instance, "delays", ["ghost"])
    with pytest.raises(Outdated, match="by hand"):
        register(registry, declared("AA", "UA"), None, agreed)


def test_while_someone_registers_others_are_told_who_it_is(folder: Path) -> None:
    one, other = open_registry(folder), open_registry(folder)
    with one.lock("ada@here (process 7)"):
        with pytest.raises(Busy, match=r"'delays' is being registered now by ada@here \(process 7\); nothing was"):
            register(other, declared("AA"))
        assert other.keys() == []
        with Registry(one.event_log, "another_project").lock("bob"):
            pass
    assert register(other, declared("AA")).new == ("AA",)


def test_who_may_wait_goes_on_when_the_other_is_done(folder: Path) -> None:
    one, other = open_registry(folder), open_registry(folder)
    with one.lock("ada"):
        waiting = Thread(target=register, args=(other, declared("AA"), Terms(patience=60.0)))
        waiting.start()
        time.sleep(0.3)
        assert one.keys() == []
    waiting.join(60)
    assert one.keys() == ["AA"]


def test_progress_counts_every_subproject(registry: Registry) -> None:
    seen: list[tuple[int, int]] = []
    register(registry, declared("AA", "B6"))
    register(registry, declared("AA", "UA", hub="JFK"), RETIRE, None, lambda done, total: seen.append((done, total)))
    assert seen[0] == (0, 3) and seen[-1] == (3, 3)


def test_who_registers_has_a_name_on_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    assert author().startswith("ada@") and len(author()) > 4

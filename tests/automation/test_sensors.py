"""The sensor that registers what its code location declares, ticked as the daemon ticks it."""

from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.assets.configuration import register
from mlops_assets.automation.sensors import SETTING, register_sensor
from mlops_assets.tracking.registry import Registry
from partitions.errors import MlopsError
from partitions.project import Project
from tests.assets.registries import declared, open_registry, prepare
from tests.partitions.delays_declared import carrier, project


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.delenv(SETTING, raising=False)
    return open_registry(prepare(tmp_path / "dagster"))


def of(*keys: str, hub: str = "DFW") -> Project:
    return project(subprojects=[carrier(key, tags={"hub": hub}) for key in keys])


class Daemon:
    """One code location in the daemon; what it is loaded with may change, its cursor stays."""

    def __init__(self, registry: Registry, cursor: str | None = None) -> None:
        self.registry = registry
        self.cursor = cursor
        self.sensor: dg.SensorDefinition | None = None

    def load(self, location: Project) -> "Daemon":
        self.sensor = register_sensor(location)
        return self

    def tick(self) -> str:
        assert self.sensor is not None
        context = dg.build_sensor_context(instance=self.registry.event_log.instance, cursor=self.cursor)
        ticked = self.sensor.evaluate_tick(context)
        assert not ticked.run_requests
        self.cursor = ticked.cursor
        return ticked.skip_message or ""


def test_it_registers_what_is_declared_and_says_so(registry: Registry) -> None:
    daemon = Daemon(registry).load(of("AA", "B6"))
    assert daemon.tick() == "registered: 2 new, 0 changed, 0 brought back, 0 retired"
    assert daemon.tick() == "all 2 subprojects are registered as declared"
    assert registry.configurations() == declared("AA", "B6")
    (entry,) = registry.history("AA")
    assert entry.by is not None and entry.by.startswith("sensor register_declared of ")

    again = project(subprojects=[*of("AA", hub="JFK").subprojects, *of("B6", "UA").subprojects])
    assert "1 new, 1 changed" in daemon.load(again).tick()
    assert registry.keys() == ["AA", "B6", "UA"]


def test_it_retires_nothing_by_itself(registry: Registry) -> None:
    register(registry, declared("AA", "B6"))
    daemon = Daemon(registry).load(of("AA", "UA"))
    said = daemon.tick()
    assert said.startswith("registered: 1 new") and "1 no longer declared" in said and "--allow-retire" in said
    assert registry.keys() == ["AA", "B6", "UA"]
    assert daemon.tick().startswith("1 no longer declared: left alone")


def test_it_retires_where_that_is_set(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    register(registry, declared("AA", "B6"))
    daemon = Daemon(registry).load(of("AA"))
    daemon.tick()
    assert registry.keys() == ["AA", "B6"]
    monkeypatch.setenv(SETTING, "retire")  # the same declaration, other orders
    assert daemon.load(of("AA")).tick() == "registered: 0 new, 0 changed, 0 brought back, 1 retired"
    assert registry.keys() == ["AA"]


def test_it_never_turns_back_what_was_applied_after_its_code_location_was_loaded(registry: Registry) -> None:
    daemon = Daemon(registry).load(of("AA"))
    daemon.tick()
    register(registry, declared("AA", "B6", hub="JFK"))
    said = daemon.tick()
    assert said.startswith("1 registered otherwise, 1 no longer declared: left alone")
    assert registry.configurations() == declared("AA", "B6", hub="JFK")
    restarted = Daemon(registry, daemon.cursor).load(of("AA"))
    assert "left alone" in restarted.tick()
    assert "all 2" in daemon.load(of("AA", "B6", hub="JFK")).tick()
    assert "1 new, 0 changed" in daemon.load(of("AA", "B6", "UA", hub="JFK")).tick()


def test_while_someone_else_registers_it_waits_for_its_next_tick(registry: Registry) -> None:
    daemon = Daemon(registry).load(of("AA"))
    with registry.lock("ada@here"):
        assert "is being registered now by ada@here" in daemon.tick()
    assert registry.keys() == [] and daemon.cursor is None
    assert "1 new" in daemon.tick()


def test_it_runs_only_where_someone_has_set_it_to(monkeypatch: pytest.MonkeyPatch) -> None:
    status = dg.DefaultSensorStatus
    expected = {"": status.STOPPED, "off": status.STOPPED, "register": status.RUNNING, "retire": status.RUNNING}
    for setting, default in expected.items():
        monkeypatch.setenv(SETTING, setting)
        assert register_sensor(of("AA")).default_status == default
    monkeypatch.setenv(SETTING, "yes")
    with pytest.raises(MlopsError, match="MLOPS_AUTO_APPLY is 'yes'; expected one of off, register, retire"):
        register_sensor(of("AA"))
    monkeypatch.delenv(SETTING)
    assert register_sensor(of("AA")).default_status == status.STOPPED


def test_two_sensors_of_one_declaration_register_it_once(registry: Registry) -> None:
    one, other = Daemon(registry).load(of("AA")), Daemon(registry).load(of("AA"))
    assert "1 new" in one.tick() and "all 1" in other.tick()
    assert [entry.what for entry in registry.history("AA")] == ["registered"]

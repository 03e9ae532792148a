"""Registries on a real storage, and a process that registers: ``python -m tests.assets.registries FOLDER N HUB``."""

import json
import sys
from pathlib import Path

import dagster as dg
import yaml

from mlops_assets.assets.configuration import Terms, plan, register
from mlops_assets.tracking.registry import Registry
from partitions.catalogue import SubprojectConfiguration, catalogue
from partitions.errors import MlopsError
from resources.event_log import EventLog
from tests.partitions.delays_declared import carrier, project


def prepare(folder: Path, postgres_url: str | None = None) -> Path:
    """A DAGSTER_HOME whose events are kept in SQLite, or in that database."""
    folder.mkdir(parents=True, exist_ok=True)
    settings: dict[str, object] = {"telemetry": {"enabled": False}}
    if postgres_url is not None:
        settings["storage"] = {"postgres": {"postgres_url": postgres_url}}
    (folder / "dagster.yaml").write_text(yaml.safe_dump(settings))
    open_registry(folder).keys()  # the tables are made before several processes look for them
    return folder


def open_registry(folder: Path) -> Registry:
    return Registry(EventLog(dg.DagsterInstance.from_config(str(folder))), "delays")


def declared(*keys: str, hub: str = "DFW", **fields: object) -> dict[str, SubprojectConfiguration]:
    return catalogue(project(subprojects=[carrier(key, tags={"hub": hub}) for key in keys], **fields))


def numbered(count: int, hub: str = "DFW") -> dict[str, SubprojectConfiguration]:
    return declared(*(f"S{number:04d}" for number in range(count)), hub=hub)


def main(folder: str, count: str, hub: str) -> None:
    """Plans, says so, waits for a line, registers, and says what that did, as one line of JSON each."""
    registry, wanted = open_registry(Path(folder)), numbered(int(count), hub)
    agreed = plan(registry, wanted)
    print(json.dumps({"ready": len(agreed.new) + len(agreed.changed)}), flush=True)
    sys.stdin.readline()
    try:
        done = register(registry, wanted, Terms(by=hub), agreed)
        print(json.dumps({"registered": len(done.new) + len(done.changed)}))
    except MlopsError as error:
        print(json.dumps({"error": str(error), "type": type(error).__name__}))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The runs of the example are the same again, bit for bit, in another process.

Three small airlines; all of them with MLOPS_TEST_ALL=1, which takes a minute or two more.
"""

import os
from pathlib import Path

import pytest

from mlops_assets import open_project
from projects.flight_delays.project import CARRIERS

EVERYTHING = bool(os.environ.get("MLOPS_TEST_ALL"))
AIRLINES = [carrier for carrier, *_ in CARRIERS] if EVERYTHING else ["AS", "F9", "YV"]


@pytest.mark.timeout(1800 if EVERYTHING else 300)
def test_every_airline_is_replayed_identically(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_BACKEND", "processes")
    for name in ("MLOPS_HOME", "DAGSTER_HOME", "MLOPS_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)
    p = open_project("projects.flight_delays.project", home=tmp_path)
    records = p.run(AIRLINES, seed=7)
    assert {record.subproject for record in records} == set(AIRLINES)
    for record in records:
        found = p.replay(record.run_id)
        assert found.identical and found.environment == () and found.rows is not None and found.rows.nothing, found
        assert p.record(found.replay_id).fingerprint == record.fingerprint

"""10,000 subprojects load, are applied, and are seen at a glance. How fast is for bench/, not for here."""

from pathlib import Path

import pytest

from mlops_assets.opened_project import OpenedProject, open_project
from mlops_assets.tracking.overview import by_last_status, by_state, grouped, ordered


@pytest.fixture
def shops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenedProject:
    monkeypatch.setenv("MLOPS_BACKEND", "inline")
    for name in ("MLOPS_HOME", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    return open_project("tests.projects.ten_thousand_declared", home=tmp_path)


def test_ten_thousand_are_declared_applied_and_overseen(shops: OpenedProject) -> None:
    assert len(shops.project.keys) == len(set(shops.project.keys)) == 10_000
    assert len(shops.plan().new) == 10_000
    shops.apply()
    assert shops.subprojects == list(shops.project.keys)
    assert shops.plan().unchanged == 10_000 and shops.plan().nothing

    shops.train(["shop-00007", "shop-09999"])
    statuses = shops.overview().statuses()
    assert [status.subproject for status in statuses] == sorted(shops.project.keys)
    assert by_state(statuses) == {"registered": 10_000}
    assert by_last_status(statuses) == {"never run": 9_998, "succeeded": 2}
    declared = shops.declared()
    assert all(status.configuration == declared[status.subproject].digest for status in statuses)
    assert [status.subproject for status in ordered(statuses, "-data_at")[:2]] == ["shop-09999", "shop-00007"]

    regions = grouped(statuses, "region")
    assert [group["subprojects"] for group in regions] == [500] * 20
    assert {group["value"]: group["rows"] for group in regions if group["rows"]} == {"region-07": 40, "region-19": 40}
    assert len(shops.status(tags={"region": "region-19"})) == 500

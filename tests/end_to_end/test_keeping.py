"""``mlops gc`` and ``mlops doctor --repair`` from the command line, over runs made by Dagster's own commands."""

import os
import time

from tests.end_to_end.conftest import ProjectFolder


def grow_old(folder: ProjectFolder) -> None:
    """Everything in the store was last used, and every record written, two days ago."""
    then = time.time() - 2 * 86_400
    for file in (folder.home / "artifacts" / "sha256").rglob("*"):
        os.utime(file, (then, then))
    for file in (folder.home / "artifacts" / "runs").rglob("record.json"):
        text = file.read_text()
        year = text.split('"created_at":"')[1][:4]
        file.write_text(text.replace(f'"created_at":"{year}', f'"created_at":"{int(year) - 1}'))


def test_runs_of_a_wiped_model_are_repaired_where_they_were(folder: ProjectFolder) -> None:
    folder.mlops("apply", "--yes")
    folder.materialize("*", "--partition", "a")
    wiped = "import dagster as dg; dg.DagsterInstance.get().wipe_assets([dg.AssetKey(['lines', 'model'])])"
    folder.python("-c", wiped)
    grow_old(folder)

    found = {one["what"]: one for one in folder.json("doctor", check=False)}
    assert not found["runs"]["ok"] and "1 of 1 runs" in found["runs"]["detail"]
    assert "mlops doctor --repair" in found["runs"]["detail"]
    found = {one["what"]: one for one in folder.json("doctor", "--repair")}
    assert found["repair"]["detail"].startswith("1 runs reported again") and found["runs"]["ok"]
    assert folder.json("runs")[0]["subproject"] == "a"
    latest = (
        "import dagster as dg; i = dg.DagsterInstance.get();"
        "print([str(e.asset_key) for e in [i.get_latest_materialization_event(dg.AssetKey(['lines', n]))"
        ".dagster_event for n in ('model', 'metrics')]])"
    )
    assert "model" in folder.python("-c", latest).stdout
    assert {one["what"]: one for one in folder.json("doctor", "--repair")}["repair"]["detail"].startswith("0 runs")


def test_gc_asks_before_it_frees(folder: ProjectFolder) -> None:
    folder.mlops("apply", "--yes")
    for seed in ("1", "2"):
        folder.mlops("run", "a", "--seed", seed)
    for file in (folder.home / "artifacts" / "sha256").rglob("*"):
        os.utime(file, (time.time() - 2 * 86_400,) * 2)
    unneeded = ("gc", "--keep", "1", "--older-than", "0")
    planned = folder.json(*unneeded, "--dry-run")
    assert planned["by_kind"].keys() == {"model", "results"} and planned["dry_run"]
    unanswered = folder.mlops(*unneeded, check=False)
    assert unanswered.returncode == 1 and "nothing was freed: nobody answered" in unanswered.stderr
    assert folder.json(*unneeded, "--dry-run") == planned
    said = folder.mlops(*unneeded, "--yes").stdout
    assert "newest" in said and "2 artifacts" in said and "freed" in said
    assert folder.json(*unneeded, "--yes")["freed"] == []
    assert "should be 0 or more" in folder.refused("gc", "--keep", "-1", "--yes")

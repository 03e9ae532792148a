"""``mlops compare`` as a person and a program call it."""

from pathlib import Path

from tests.end_to_end.conftest import PIPELINE, ProjectFolder


def test_runs_are_compared_from_the_command_line(folder: ProjectFolder, tmp_path: Path) -> None:
    folder.mlops("apply", "--yes")
    (first,) = folder.json("run", "a", "--seed", "1")
    folder.write("lines/pipeline.py", PIPELINE.replace("Ridge(alpha=params.alpha)", "Ridge(alpha=30 * params.alpha)"))
    (second,) = folder.json("run", "a", "--seed", "1", "-P", "alpha=2.0")
    (other,) = folder.json("run", "b", "--seed", "1")
    ids = [first["run_id"], second["run_id"]]

    plain = folder.mlops("compare", *ids).stdout
    assert plain.startswith("b is worse by rmse") and "params.alpha" in plain and "pipeline.py" in plain
    assert "Slices" not in plain
    report = tmp_path / "report.html"
    with_rows = folder.mlops("compare", ids[0][-12:], ids[1], "--rows", "--html", str(report)).stdout
    assert "Slices" in with_rows and "Where a and b disagree most" in with_rows and "a better" in with_rows
    assert "data:image/png;base64," in report.read_text()

    walked = folder.mlops("compare", *ids, "--steps").stdout
    assert "part at step" in walked and "'model'" in walked and "Steps" not in plain

    document = folder.json("compare", *ids, "--rows", "--limit", "4", "--steps")
    assert document["steps"]["b"]["step"] == "model" and document["steps"]["b"]["rows"] > 0
    assert [run["run_id"] for run in document["runs"]] == ids
    assert len(document["rows"]["disagreements"]["b"]) == 4
    patch = folder.mlops("compare", *ids, "--patch").stdout
    assert patch == document["code"]["patches"]["b"]["pipeline.py"]
    assert "+        return Ridge(alpha=30 * params.alpha)" in patch

    refused = folder.refused("compare", ids[0], other["run_id"])
    assert "lines/a" in refused and "lines/b" in refused and "--across-subprojects" in refused
    assert folder.json("compare", ids[0], other["run_id"], "--across-subprojects")["metrics"]
    assert "named twice" in folder.refused("compare", ids[0], ids[0])
    assert "no run 'nothing'" in folder.refused("compare", ids[0], "nothing")
    missing = folder.refused("compare", *ids, "--html", str(tmp_path / "nowhere" / "report.html"))
    assert "nowhere" in missing and "--html" in missing

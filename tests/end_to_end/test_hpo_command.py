"""``mlops hpo`` and Dagster's own commands, as a person types them."""

import pytest

from tests.end_to_end.conftest import ProjectFolder
from tests.public.hpo_lines import declare_hpo


@pytest.fixture
def lines(folder: ProjectFolder) -> ProjectFolder:
    declare_hpo(folder.path, [("a", 1.0, ""), ("b", -2.0, "")], space="alpha=Float(0.01, 1000.0, log=True)")
    folder.mlops("apply", "--yes")
    return folder


def test_it_optimises_as_a_file_says_and_what_is_given_beside_it(lines: ProjectFolder) -> None:
    lines.write("hpo.yaml", "sampler: qmc\nfolds: 3\nseeds: 2\ntrials: 50\n")
    done = lines.json("hpo", "a", "b", "-c", "hpo.yaml", "--trials", "2")
    assert [(one["subproject"], one["trials"], one["complete"]) for one in done] == [("a", 2, 2), ("b", 2, 2)]
    runs = lines.json("runs", "--kind", "trial", "--limit", "100")
    assert len(runs) == 2 * 2 * 3 * 2 and {run["seed"] for run in runs} == {0, 1}
    (best,) = lines.json("best", "a")
    assert best["source"] == "rule" and best["why"] == done[0]["reason"]
    shown = lines.mlops("hpo", "a", "--trials", "1", "--timeout", "60")
    assert "best rmse" in shown.stdout and "1/1 a: rmse" in shown.stderr


def test_a_seed_and_a_data_version_make_an_hpo_run_the_same_again(lines: ProjectFolder) -> None:
    lines.mlops("train", "a")
    (old,) = lines.json("data", "a")
    lines.mlops("train", "a")
    lines.write("hpo.yaml", "reuse: none\ntransfer: none\n")
    again = ("hpo", "a", "-c", "hpo.yaml", "--trials", "3", "--seed", "5", "--data-version", old["data_version"][:12])
    first, second = lines.json(*again), lines.json(*again)
    assert first[0]["hpo_run_id"] != second[0]["hpo_run_id"]
    assert {k: v for k, v in first[0].items() if k.startswith("params.")} == {
        k: v for k, v in second[0].items() if k.startswith("params.")
    }
    runs = lines.json("runs", "--kind", "trial", "--limit", "100")
    assert {run["seed"] for run in runs} == {5} and {run["data_version"] for run in runs} == {old["data_version"]}


def test_what_it_refuses_is_one_line_and_changes_nothing(lines: ProjectFolder) -> None:
    lines.write("hpo.yaml", "sampler: tpe\ntrails: 3\n")
    assert "hpo.yaml: unknown field 'trails'; nearest: trials" in lines.refused("hpo", "a", "-c", "hpo.yaml")
    assert "lines/a: hpo: trials" in lines.refused("hpo", "a", "--trials", "0")
    assert "unknown subproject 'c'" in lines.refused("hpo", "c")
    assert "there is no HPO run to resume of a" in lines.refused("hpo", "a", "--resume")
    begun = ("hpo", "a", "--resume", "--trials", "2", "--code-version", "x")
    assert "leave out trials, code version" in lines.refused(*begun)
    assert "seed: expected greater than or equal to 0, not -1" in lines.refused("hpo", "a", "--seed", "-1")
    assert "data version" in lines.refused("hpo", "a", "--data-version", "123456")
    assert lines.json("runs") == []


def test_dagster_materialises_trials_of_many_partitions(lines: ProjectFolder) -> None:
    select = 'key:"lines/trials" or key:"lines/best_config"'
    lines.materialize(select, "--partition-range", "a...b")
    assert len(lines.json("best")) == 2
    assert len(lines.json("runs", "--kind", "trial", "--limit", "100")) == 2 * 4 * 2

"""The best configuration: what a person chose is what is trained, and what was chosen before is never lost."""

from pathlib import Path

import pytest

from partitions.errors import MlopsError, UnknownName
from tests.public.conftest import opened


def test_what_is_chosen_is_trained_until_the_next_choice(folder: Path) -> None:
    p = opened(folder)
    assert p.train(["a"])[0].parameters["alpha"] == 1.0
    assert p.best("a") is None
    strong = p.run("a", params={"alpha": 9.0}, seed=1)[0]
    weak = p.run("a", params={"alpha": 0.5}, seed=1)[0]

    first = p.set_best("a", strong.run_id, why="smoother")
    assert (first.run_id, first.replaces, first.source, first.why) == (strong.run_id, None, "person", "smoother")
    assert p.best("a") == first
    assert p.train(["a"])[0].parameters["alpha"] == 9.0
    assert p.run("a", seed=1)[0].parameters["alpha"] == 1.0, "a dev run starts from what is registered"

    second = p.set_best("a", weak.run_id[-12:], why="closer")
    assert second.replaces == strong.run_id
    assert p.train(["a"], fields={"params": {"alpha": 2.0}})[0].parameters["alpha"] == 2.0
    assert p.train(["a", "b"])[0].parameters["alpha"] == 0.5
    assert p.best_history("a") == [first, second]
    assert p.best_history("b") == [] and p.best("b") is None


def test_a_choice_is_a_materialisation_that_dagster_shows(folder: Path) -> None:
    p = opened(folder)
    record = p.run("a", seed=1)[0]
    p.set_best("a", record.run_id, why="the only one")
    (event,) = p.event_log.events(("lines", "best_config"))
    assert event.partition == "a" and event.metadata["run_id"] == record.run_id
    assert event.metadata["rmse"] == record.metrics["rmse"]


def test_what_cannot_be_chosen_is_refused_and_changes_nothing(folder: Path) -> None:
    p = opened(folder)
    record = p.run("a", seed=1)[0]
    with pytest.raises(MlopsError, match=r"is of lines/a, not of lines/b"):
        p.set_best("b", record.run_id, why="better")
    with pytest.raises(MlopsError, match=r"say why"):
        p.set_best("a", record.run_id, why=" ")
    with pytest.raises(UnknownName, match="unknown subproject 'z'"):
        p.set_best("z", record.run_id, why="better")
    with pytest.raises(UnknownName, match="no run 'nothing'"):
        p.set_best("a", "nothing", why="better")
    assert p.bests() == {}

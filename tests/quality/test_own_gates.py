"""Gates of one's own: how they may answer, where they are found, and what their digest is over."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.quality.gates import Judged, judge
from partitions.errors import CouldNotLook
from partitions.gates import Check, Verdict

SMALL = 100.0


def small(results: pd.DataFrame) -> bool:
    return bool(_error(results) < SMALL)


def _error(results: pd.DataFrame) -> float:
    return float((results["prediction"] - results["truth"]).abs().mean())


def of_numpy(results: pd.DataFrame) -> Any:
    return (results["prediction"] > 0).all(), "all above zero"


def in_full(results: pd.DataFrame) -> Verdict:
    return Verdict(False, reason="too few of them", value=np.float32(0.25), evidence={"late": np.int64(3)})  # type: ignore[arg-type]


def not_enough(results: pd.DataFrame) -> bool:
    raise CouldNotLook("fewer than 500 late flights")


def undecided(results: pd.DataFrame) -> Verdict:
    return Verdict(None, reason="no flights to the west")


def forgetful(results: pd.DataFrame) -> None:
    results["prediction"] = 0.0


def wrong(results: pd.DataFrame) -> bool:
    return bool(results["no such column"].all())


def own(name: str) -> Check:
    return Check(f"{__name__}:{name}")


def test_a_gate_of_ones_own_answers_in_several_ways(model: Judged) -> None:
    names = ["small", "of_numpy", "in_full", "not_enough", "undecided", "forgetful", "wrong"]
    verdicts = judge([own(name) for name in names], model)
    found = {name: (one.outcome, one.reason) for name, one in zip(names, verdicts, strict=True)}
    assert found == {
        "small": ("pass", "small: yes"),
        "of_numpy": ("pass", "all above zero"),
        "in_full": ("fail", "too few of them"),
        "not_enough": ("could_not_look", "fewer than 500 late flights"),
        "undecided": ("could_not_look", "no flights to the west"),
        "forgetful": (
            "could_not_look",
            "it returned None; return True or False, (True or False, reason), or a Verdict",
        ),
        "wrong": ("could_not_look", "wrong raised KeyError: 'no such column'"),
    }
    assert (verdicts[2].value, verdicts[2].evidence) == (0.25, {"late": 3})
    assert (model.rows["prediction"] != 0.0).any()
    assert all(len(one.source or "") == 64 for one in verdicts)


def test_a_method_of_the_pipeline_and_what_is_not_there(model: Judged) -> None:
    method, lost, nowhere, unimportable = judge(
        [Check("early_ones_too"), Check("late_ones_too"), own("nothing"), Check("tests.quality.no_module:gate")], model
    )
    assert (method.gate, method.outcome) == ("check_early_ones_too", "pass")
    assert lost.reason == "Flights of this code version has no method 'late_ones_too'"
    assert nowhere.reason == f"{__name__} of this code version has no function 'nothing'"
    assert unimportable.outcome == "could_not_look"
    assert unimportable.source is None


def test_the_digest_of_an_own_gate_is_that_of_all_that_decides_in_its_module(
    model: Judged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    far = "LIMIT = {limit}\n\n\ndef _far({name}):\n    return {name} > LIMIT\n"
    text = far + "\n\ndef near(results):\n    return not _far(0)\n"
    texts = {
        "plain_gate": text.format(limit=1, name="x"),
        "same_gate": "# moved\n" + text.format(limit=1, name="x") + "\n\ndef other():\n    return 3\n",
        "other_limit": text.format(limit=2, name="x"),
        "other_help": text.format(limit=1, name="y"),
    }
    digests = {}
    for name, written in texts.items():
        (tmp_path / f"{name}.py").write_text(written)
        (found,) = judge([Check(f"{name}:near")], model)
        assert found.outcome == "pass"
        digests[name] = found.source
    assert digests["plain_gate"] == digests["same_gate"]
    assert len(set(digests.values())) == 3

"""Stages in their order: which one a name means, what comes before it, and where a model may go from there."""

import pytest

from partitions.catalogue import SubprojectConfiguration, catalogue
from partitions.errors import MlopsError, UnknownName
from partitions.stage_order import before, check_forward, is_last, stage_named
from partitions.stages import Stage
from tests.partitions.delays_declared import carrier, project

STAGES = [Stage("testing"), Stage("staging"), Stage("production")]


@pytest.fixture
def found() -> dict[str, SubprojectConfiguration]:
    own = [Stage("testing"), Stage("production")]
    return catalogue(project(subprojects=[carrier("AA"), carrier("B6", stages=own)], stages=STAGES))


def test_a_subproject_with_stages_of_its_own_has_those(found: dict[str, SubprojectConfiguration]) -> None:
    assert stage_named(found["AA"], "staging").name == "staging"
    with pytest.raises(UnknownName, match="delays/B6: unknown stage 'staging'.*it has testing, then production"):
        stage_named(found["B6"], "staging")
    assert before(found["AA"], "production") == ["testing", "staging"] and before(found["B6"], "production") == [
        "testing"
    ]
    assert is_last(found["B6"], "production") and not is_last(found["AA"], "staging")


def test_a_project_without_stages_says_how_to_get_some() -> None:
    without = catalogue(project(subprojects=[carrier("AA")], stages=[]))["AA"]
    with pytest.raises(UnknownName, match="none are declared; add stages"):
        stage_named(without, "testing")


@pytest.mark.parametrize(("source", "target"), [("testing", "staging"), ("testing", "production")])
def test_models_go_forward(found: dict[str, SubprojectConfiguration], source: str, target: str) -> None:
    check_forward(found["AA"], source, target)


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("staging", "testing", "promote from staging to production; `mlops rollback --stage testing`"),
        ("production", "staging", "'production' is the last stage"),
        ("staging", "staging", "does not come after 'staging'"),
        ("test", "staging", "unknown stage 'test'; nearest: testing"),
        ("testing", "archive", "not by a command"),
    ],
)
def test_and_nowhere_else(found: dict[str, SubprojectConfiguration], source: str, target: str, said: str) -> None:
    with pytest.raises(MlopsError, match=said.replace("(", "\\(")):
        check_forward(found["AA"], source, target)

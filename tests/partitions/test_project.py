import time
from typing import Any

import pytest
from pydantic import BaseModel

from partitions.errors import DeclarationError, MlopsError, UnknownName
from partitions.gates import Check, ModelSize, SliceFloor, Threshold
from partitions.hpo import HPO
from partitions.pipeline import Pipeline
from partitions.project import Project
from partitions.schema import DataSchema
from partitions.search_space import Categorical, Float, Int, SearchSpace
from partitions.stages import Cron, Retraining, Stage
from partitions.strategies import ABTest
from partitions.subproject import Subproject
from tests.partitions.delays_declared import Carrier, Delays, Params, carrier, project


class Stateful(Delays):
    def __init__(self) -> None:
        self.size = 3


class Bare(Pipeline[Carrier, Params]):
    def ingest(self, config: Carrier, window: Any) -> Any:
        raise NotImplementedError

    def build(self, params: Params, seed: int) -> Any:
        raise NotImplementedError


class Odd(Bare):
    schema = DataSchema(key="flight", target="delay")
    metrics = {"rmse": "low", "mean error": "min"}  # type: ignore[dict-item]


class Other(BaseModel):
    carrier: str


def refused(**fields: Any) -> list[str]:
    with pytest.raises(DeclarationError) as error:
        project(**fields)
    lines = str(error.value).splitlines()
    assert all(line.startswith("project 'delays': ") for line in lines)
    return [line.removeprefix("project 'delays': ") for line in lines]


def test_a_valid_project_gives_its_subprojects_by_key() -> None:
    declared = project()
    assert declared.keys == ("AA", "B6", "DL")
    assert declared.subproject("B6").tags == {"hub": "JFK"}
    assert declared.config("B6") == Carrier(carrier="B6")
    assert declared.reference.qualname == "Delays"
    assert declared.not_code == ("*.yaml", "*.yml", "*.toml", "*.md", "*.ipynb", "data/**")


def test_the_smallest_project_is_a_name_a_pipeline_and_its_subprojects() -> None:
    declared = Project(name="delays", pipeline=Delays(), subprojects=[carrier("AA")])
    assert (declared.stages, declared.gates, declared.hpo) == ((), (), None)


def test_an_unknown_subproject_gets_the_nearest_offered() -> None:
    with pytest.raises(UnknownName, match="project 'delays': unknown subproject 'aa'; nearest: AA"):
        project().subproject("aa")


@pytest.mark.parametrize("name", ["Delays", "", "9x", 3])
def test_an_illegal_name_is_refused(name: Any) -> None:
    with pytest.raises(DeclarationError, match=f"project {name!r}: name: "):
        project(name=name)


def test_an_unknown_field_gets_the_nearest_offered() -> None:
    assert refused(stage=[]) == ["stage: unknown field 'stage'; nearest: stages"]


@pytest.mark.parametrize(
    ("pipeline", "says"),
    [
        (Stateful(), "pipeline: pipeline Stateful holds state (size)"),
        (Bare(), "pipeline: pipeline Bare declares no schema"),
        (Odd(), "pipeline: pipeline Odd: metric 'rmse' is 'low'; expected 'min', 'max' or 'zero'"),
        (Delays, "pipeline: expected an instance of Pipeline, not <class"),
    ],
)
def test_a_pipeline_that_cannot_be_run_is_refused(pipeline: Any, says: str) -> None:
    assert refused(pipeline=pipeline)[0].startswith(says)


def test_a_metric_is_a_name() -> None:
    assert "metric 'mean error': a name is letters, digits and '_', no digit first" in refused(pipeline=Odd())[1]


def test_keys_and_configurations_are_checked_for_every_subproject() -> None:
    subprojects = [
        carrier("AA"),
        carrier("AA"),
        carrier("aA"),
        Subproject("B6", {"carier": "B6"}),
        Subproject("DL", Params()),
        Subproject("UA", {"carrier": "UA"}),
        Subproject("VX"),
        Subproject("WN", {"carrier": 3}),
        Subproject("YV", Other(carrier="YV")),
    ]
    assert refused(subprojects=subprojects) == [
        "subprojects[1].key: 'AA' is already the key of [0]; keys must be unique",
        "subprojects[2].key: 'aA' differs only by case from 'AA' of [0]; rename one",
        "subprojects[3].config.carier: unknown configuration field 'carier'; nearest: carrier (subproject 'B6')",
        "subprojects[4].config: expected an instance of Carrier, not of Params (subproject 'DL')",
        "subprojects[6].config.carrier: is required (subproject 'VX')",
        "subprojects[7].config.carrier: expected text, not 3 (subproject 'WN')",
        "subprojects[8].config: expected an instance of Carrier, not of Other (subproject 'YV')",
    ]


def test_an_illegal_key_is_refused() -> None:
    (line,) = refused(subprojects=[{"key": "A,B", "config": {"carrier": "A"}}])
    assert line.startswith("subprojects[0].key: illegal subproject key 'A,B'")


def test_parameters_are_those_of_the_pipeline() -> None:
    assert refused(params={"max_dept": 3}) == ["params.max_dept: unknown parameter 'max_dept'; nearest: max_depth"]
    assert refused(params={"max_depth": "deep"}) == ["params.max_depth: expected a whole number, not 'deep'"]
    assert refused(params={"learning_rate": float("inf")}) == [
        "params.learning_rate: expected a finite number, not inf; use null for no value"
    ]
    assert refused(subprojects=[carrier("AA", params={"split": {"test_size": 2}})]) == [
        "subprojects[0].params.split.test_size: expected less than 1, not 2 (subproject 'AA')"
    ]
    assert project(params=Params(max_depth=9)).params == {"max_depth": 9}


def test_a_search_space_names_parameters_and_values_their_types_take() -> None:
    space = SearchSpace(
        max_dept=Int(1, 3),
        max_depth=Float(2, 10),
        learning_rate=Categorical([0.1, "fast"]),
        scaled=Int(0, 1),
        loss=Categorical(["squared", "absolute"]),
    )
    assert refused(search_space=space, hpo=None) == [
        "search_space.max_dept: unknown parameter 'max_dept'; nearest: max_depth",
        "search_space.max_depth: the parameter does not take 4.943035529371539: expected a whole number, not "
        "4.943035529371539",
        "search_space.learning_rate: the parameter does not take 'fast': expected a number, not 'fast'",
        "search_space.scaled: the parameter does not take 0: expected true or false, not 0",
    ]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"metric": "rms"}, "hpo.metric: unknown metric 'rms'; nearest: rmse"),
        ({"metric": "r2"}, "hpo.direction: 'r2' is max in the pipeline's metrics: expected 'maximize'"),
        ({"metric": "bias"}, "hpo.metric: 'bias' is best at zero, which cannot be optimised; choose another metric"),
        ({"parameters": ["max_dept"]}, "hpo.parameters: unknown parameter of the space 'max_dept'; nearest: max_depth"),
        ({"sampler": "grid"}, "hpo.sampler: a grid needs a step for the range of 'learning_rate'"),
    ],
)
def test_an_hpo_configuration_fits_metrics_and_space(fields: dict[str, Any], says: str) -> None:
    hpo = HPO(**{"metric": "rmse", "direction": "minimize", **fields})
    assert refused(hpo=hpo) == [says]


def test_a_grid_over_the_countable_part_of_the_space_is_fine() -> None:
    project(hpo=HPO(metric="rmse", direction="minimize", sampler="grid", parameters=["max_depth"]))


def test_gates_judge_metrics_columns_and_functions_there_are() -> None:
    gates = [
        Threshold("rms", max=1),
        SliceFloor("tail", "rmse", max=3),
        Check("no_big_bias"),
        Check("no_large_bias"),
        Check("nowhere:bias"),
        Check("partitions.hpo:bias"),
        ModelSize(3),
        ModelSize(3),
    ]
    assert refused(gates=gates) == [
        "gates[0].metric: unknown metric 'rms'; nearest: rmse",
        "gates[1].column: 'tail' is private: its values may not stand in a verdict",
        "gates[2].function: unknown method of pipeline Delays 'no_big_bias'; nearest: no_large_bias",
        "gates[4].function: no module 'nowhere'",
        "gates[5].function: no function 'bias' in partitions.hpo",
        "gates[7]: the gate 'model file of at most 3 MB' is there twice",
    ]


def test_stages_are_unique_and_ask_for_what_there_is() -> None:
    stages = [
        Stage("testing"),
        Stage("testing", gates=[Threshold("mse", max=1)], strategy=ABTest(metric="mse")),
        Stage("production", retraining=Retraining(Cron("0 3 * * 1"), configuration={"max_depth": "deep"})),
    ]
    assert refused(stages=stages) == [
        "stages[1].name: 'testing' is there twice; stage names must be unique",
        "stages[1].gates[0].metric: unknown metric 'mse'; nearest: rmse",
        "stages[1].strategy.metric: unknown metric 'mse'; nearest: rmse",
        "stages[2].retraining.configuration.max_depth: expected a whole number, not 'deep'",
    ]


def test_what_a_subproject_overrides_is_checked_as_it_will_be() -> None:
    wrong = carrier(
        "AA",
        search_space={"lerning_rate": None, "max_depth": Int(1, 3), "depth": Int(1, 3)},
        hpo={"trails": 3},
        gates=[Threshold("mse", max=3)],
        stages=[Stage("production"), Stage("testing"), Stage("staging")],
    )
    assert refused(subprojects=[wrong]) == [
        "subprojects[0].search_space: unknown parameter of the space 'lerning_rate'; nearest: learning_rate "
        "(subproject 'AA')",
        "subprojects[0].search_space.depth: unknown parameter 'depth'; nearest: max_depth (subproject 'AA')",
        "subprojects[0].hpo.trails: unknown field 'trails'; nearest: trials, transfer, metric (subproject 'AA')",
        "subprojects[0].gates[0].metric: unknown metric 'mse'; nearest: rmse (subproject 'AA')",
        "subprojects[0].stages[2].name: unknown stage of the project 'staging'; nearest: testing (subproject 'AA')",
        "subprojects[0].stages: expected the order of the project's stages: testing, production (subproject 'AA')",
    ]
    assert refused(hpo=None, subprojects=[carrier("AA", hpo={"trials": 3})]) == [
        "subprojects[0].hpo.metric: is required (subproject 'AA')",
        "subprojects[0].hpo.direction: is required (subproject 'AA')",
    ]
    taken_out = carrier("AA", search_space={"max_depth": None}, hpo={"parameters": ["max_depth"]})
    assert refused(subprojects=[taken_out]) == [
        "subprojects[0].hpo.parameters: unknown parameter of the space 'max_depth'; known: learning_rate "
        "(subproject 'AA')"
    ]


def test_tags_can_be_asked_for_from_a_command_line() -> None:
    for tag in ("", "a=b", " a"):
        with pytest.raises(DeclarationError, match="a tag's name may not be empty"):
            carrier("AA", tags={tag: "x"})


@pytest.mark.parametrize("pattern", ["/etc", "", "../x", "a/../b"])
def test_what_is_no_code_lies_below_the_package(pattern: str) -> None:
    assert refused(not_code=[pattern])[0].startswith("not_code[0]: expected a pattern of files below")


def test_subprojects_are_selected_by_key_glob_and_tag_in_declared_order() -> None:
    declared = project(
        subprojects=[carrier(key, tags={"hub": key[0], "kind": "x"}) for key in ("B2", "A1", "A2", "C1")]
    )
    assert declared.select(["C1", "A*", "A1"]) == ["A1", "A2", "C1"]
    assert declared.select(["[BC]?"]) == ["B2", "C1"]
    assert declared.select(tags={"hub": "A", "kind": "x"}) == ["A1", "A2"]
    assert declared.select(["*1"], {"hub": "A"}) == ["A1"]
    assert declared.select(everything=True) == ["B2", "A1", "A2", "C1"]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"patterns": ["AA", "B7"]}, "unknown subproject 'B7'; nearest: B6"),
        ({"patterns": ["Z*"]}, "no subproject matches 'Z*'; there are: AA, B6, DL"),
        ({"tags": {"hub": "LAX"}}, "no subproject has the tags hub=LAX"),
        ({"patterns": ["D*"], "tags": {"hub": "JFK"}}, "no subproject among D* has the tags hub=JFK"),
        ({}, "no subproject named: give keys, globs, --tag k=v or --all"),
        ({"patterns": ["AA"], "everything": True}, "--all selects every subproject"),
    ],
)
def test_a_selection_of_nothing_is_an_error(asked: dict[str, Any], says: str) -> None:
    with pytest.raises(MlopsError) as error:
        project().select(**asked)
    assert says in str(error.value)


def test_a_selection_in_a_project_without_subprojects_is_an_error() -> None:
    with pytest.raises(UnknownName, match="has no subprojects"):
        project(subprojects=[]).select(everything=True)


def test_ten_thousand_subprojects_load_in_two_seconds() -> None:
    seconds = []
    for _ in range(3):  # the best of three: the machine may be busy
        began = time.process_time()
        subprojects = [
            carrier(f"K{n}", tags={"hub": str(n % 7)}, params={"max_depth": n % 9 + 1}) for n in range(10_000)
        ]
        assert len(project(subprojects=subprojects).keys) == 10_000
        seconds.append(time.process_time() - began)
        if seconds[-1] < 2.0:
            break
    assert min(seconds) < 2.0

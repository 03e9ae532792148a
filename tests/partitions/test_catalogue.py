import subprocess
import sys
from pathlib import Path

import pytest

from partitions.catalogue import SubprojectConfiguration, catalogue, resolve
from partitions.changes import field_changes
from partitions.errors import UnknownName
from partitions.gates import ModelSize
from partitions.hpo import HPO
from partitions.messages import Message
from partitions.search_space import Categorical, SearchSpace
from partitions.stages import Cron, Stage
from tests.partitions.delays_declared import Params, carrier, project

SPECIAL = carrier(
    "DL",
    tags={"hub": "ATL"},
    params={"max_depth": 7, "split": {"test_size": 0.5}},
    search_space={"max_depth": None, "loss": Categorical(["squared", "absolute"])},
    hpo={"trials": 7},
    gates=[ModelSize(30)],
    stages=[Stage("production", retraining=Cron("0 5 * * *"))],
    notifications=[Message("env:DL_TEAM")],
)


def test_a_configuration_holds_defaults_and_the_projects_settings_merged() -> None:
    declared = resolve(project(params={"max_depth": 5}), "AA")
    assert declared.config == {"carrier": "AA", "region": "east"}
    assert declared.params == Params(max_depth=5).model_dump(mode="json")
    assert declared.hpo == HPO(metric="rmse", direction="minimize", trials=40, folds=5)
    assert [stage.name for stage in declared.stages] == ["testing", "production"]


def test_what_a_subproject_says_comes_before_its_project() -> None:
    declared = resolve(project(params={"max_depth": 5, "loss": "absolute"}, subprojects=[SPECIAL]), "DL")
    assert declared.params["max_depth"] == 7
    assert declared.params["loss"] == "absolute"
    assert declared.params["split"] == {"method": "auto", "test_size": 0.5}
    assert declared.search_space.names == ("learning_rate", "loss")
    assert declared.hpo == HPO(metric="rmse", direction="minimize", trials=7, folds=5)
    assert declared.gates == (ModelSize(30),)
    assert [stage.name for stage in declared.stages] == ["production"]
    assert declared.notifications == (Message("env:DL_TEAM"),)


def test_every_value_knows_where_it_was_set() -> None:
    declared = resolve(project(params={"max_depth": 5, "loss": "absolute"}, subprojects=[SPECIAL]), "DL")
    paths = {
        "config.carrier": "subproject",
        "config.region": "default",
        "tags.hub": "subproject",
        "params.max_depth": "subproject",
        "params.loss": "project",
        "params.learning_rate": "default",
        "params.split.test_size": "subproject",
        "params.split.method": "default",
        "search_space.learning_rate.low": "project",
        "search_space.loss.choices": "subproject",
        "search_space.max_depth": "subproject",
        "hpo.trials": "subproject",
        "hpo.folds": "project",
        "hpo.sampler": "default",
        "gates.model_size.max_mb": "subproject",
        "stages.production.retraining": "subproject",
        "notifications": "subproject",
    }
    assert {path: declared.origin_of(path) for path in paths} == paths
    assert resolve(project(), "AA").origin_of("notifications") == "default"
    assert resolve(project(), "AA").origin_of("gates.threshold_rmse") == "project"


def test_a_whole_search_space_or_hpo_of_a_subproject_replaces_the_projects() -> None:
    own = carrier(
        "AA",
        search_space=SearchSpace(loss=Categorical(["squared", "absolute"])),
        hpo=HPO(metric="r2", direction="maximize"),
    )
    declared = resolve(project(subprojects=[own]), "AA")
    assert declared.search_space.names == ("loss",)
    assert declared.hpo == HPO(metric="r2", direction="maximize")
    assert declared.origin_of("hpo.trials") == "default"
    assert declared.origin_of("hpo.metric") == "subproject"


def test_the_catalogue_has_every_subproject_in_the_order_declared() -> None:
    declared = project()
    everything = catalogue(declared)
    assert tuple(everything) == declared.keys
    assert everything["B6"] == resolve(declared, "B6")
    with pytest.raises(UnknownName, match="nearest: B6"):
        resolve(declared, "B66")


def test_a_configuration_comes_back_from_json_with_the_same_digest() -> None:
    for declared in catalogue(project(subprojects=[carrier("AA"), SPECIAL])).values():
        back = SubprojectConfiguration.model_validate_json(declared.model_dump_json())
        assert back == declared
        assert (back.digest, back.config_digest) == (declared.digest, declared.config_digest)


def test_a_registered_configuration_is_read_without_the_projects_code(tmp_path: Path) -> None:
    stored = tmp_path / "DL.json"
    declared = resolve(project(subprojects=[SPECIAL]), "DL")
    stored.write_text(declared.model_dump_json())
    read = (
        "import sys, pathlib; from partitions.catalogue import SubprojectConfiguration as S;"
        "print(S.model_validate_json(pathlib.Path(sys.argv[1]).read_text()).digest);"
        "assert not any('delays_declared' in name for name in sys.modules)"
    )
    paths = {"PYTHONPATH": str(Path(__file__).parents[2])}
    shown = subprocess.run([sys.executable, "-c", read, str(stored)], env=paths, capture_output=True, text=True)
    assert shown.stdout.strip() == declared.digest, shown.stderr


def test_the_digest_is_over_values_and_not_over_where_they_were_set() -> None:
    default = resolve(project(), "AA")
    said = resolve(project(params={"max_depth": 4}), "AA")
    assert default.origins != said.origins
    assert default.digest == said.digest
    assert field_changes(default, said) == ()
    other = resolve(project(params={"max_depth": 5}), "AA")
    assert other.digest != default.digest
    assert other.config_digest == default.config_digest

"""What differs between declared and registered, and between one registration and the next."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from partitions.catalogue import SubprojectConfiguration, catalogue, resolve
from partitions.changes import Changes, Known, Plan, diff, digest_over, digests_of, field_changes
from partitions.gates import ModelSize, Threshold
from partitions.hpo import HPO
from partitions.search_space import Categorical, Float, Int, SearchSpace
from partitions.stages import Cron, Stage
from partitions.subproject import Subproject
from tests.partitions.delays_declared import carrier, project

Configurations = Mapping[str, SubprojectConfiguration]


class Registered:
    """A registry in memory that notes which whole configurations are asked of it."""

    def __init__(self, live: Configurations, former: Configurations | None = None) -> None:
        self.all = {**live, **(former or {})}
        self.known = Known(digests_of(live), digests_of(former or {}))
        self.asked: list[str] = []

    def read(self, keys: Sequence[str]) -> Configurations:
        self.asked += keys
        return {key: self.all[key] for key in keys}

    def diff(self, declared: Configurations) -> Changes:
        return diff(declared, digests_of(declared), self.known, self.read)


def test_what_is_new_retired_unchanged_and_changed_is_told_apart() -> None:
    registered = Registered(catalogue(project()))
    declared = catalogue(project(subprojects=[carrier("AA"), carrier("B6", tags={"hub": "JFK"}), carrier("UA")]))
    changes = registered.diff(declared)
    assert (changes.new, changes.retired, changes.unchanged) == (("UA",), ("DL",), 1)
    (change,) = changes.changed["AA"]
    assert (change.path, change.before, change.after, change.origin) == ("tags.hub", "DFW", None, "subproject")
    assert not changes.nothing
    assert Changes.model_validate_json(changes.model_dump_json()) == changes


def test_whole_configurations_are_read_only_of_what_differs() -> None:
    registered = Registered(catalogue(project()))
    assert registered.diff(catalogue(project())).nothing and registered.asked == []
    registered.diff(catalogue(project(subprojects=[carrier("AA"), carrier("B6", tags={"hub": "JFK"}), carrier("UA")])))
    assert registered.asked == ["AA"]


def test_a_retired_subproject_declared_again_is_brought_back_with_what_changed_meanwhile() -> None:
    before = catalogue(project())
    registered = Registered({"B6": before["B6"]}, {"AA": before["AA"], "DL": before["DL"]})
    declared = catalogue(
        project(subprojects=[carrier("AA", tags={"hub": "ORD"}), carrier("B6", tags={"hub": "JFK"}), carrier("DL")])
    )
    changes = registered.diff(declared)
    assert changes.new == () and changes.retired == () and changes.unchanged == 1
    assert {key: [f.path for f in fields] for key, fields in changes.brought_back.items()} == {
        "AA": ["tags.hub"],
        "DL": [],
    }
    assert not changes.nothing


def test_a_partition_that_was_never_registered_is_new_where_declared_and_retired_where_not() -> None:
    known = Known({"AA": "", "ghost": ""})
    declared = catalogue(project(subprojects=[carrier("AA")]))
    changes = diff(declared, digests_of(declared), known, Registered({}).read)
    assert (changes.new, changes.retired, changes.changed) == (("AA",), ("ghost",), {})


def test_digests_computed_otherwise_by_an_earlier_version_are_no_change() -> None:
    registered = Registered(catalogue(project()))
    registered.known = Known(dict.fromkeys(registered.all, "of another version"))
    changes = registered.diff(catalogue(project()))
    assert changes.nothing and changes.unchanged == 3


def test_an_origin_alone_that_differs_is_no_change() -> None:
    registered = Registered({"AA": resolve(project(), "AA")})
    assert registered.diff({"AA": resolve(project(params={"max_depth": 4}), "AA")}) == Changes(unchanged=1)


def test_true_instead_of_one_is_a_change() -> None:
    before = resolve(project(), "AA")
    after = before.model_copy(update={"config": {**before.config, "region": True}})
    before = before.model_copy(update={"config": {**before.config, "region": 1}})
    assert before == after  # as Python sees it
    changes = Registered({"AA": before}).diff({"AA": after})
    assert [field.path for field in changes.changed["AA"]] == ["config.region"]


def test_plans_are_compared_by_what_they_change_in_whichever_order() -> None:
    registered = Registered(catalogue(project()))
    one = registered.diff(catalogue(project(subprojects=[carrier("AA"), carrier("UA"), carrier("YV")])))
    other = registered.diff(catalogue(project(subprojects=[carrier("YV"), carrier("UA"), carrier("AA")])))
    assert one != other and one.differing(other) == []
    third = registered.diff(catalogue(project(subprojects=[carrier("AA", tags={"hub": "ORD"}), carrier("UA")])))
    assert set(one.differing(third)) == {"AA", "YV"}
    assert one.among(["UA", "DL", "nobody"]) == Changes(new=("UA",), retired=("DL",))


def test_a_plan_comes_back_from_json() -> None:
    changes = Registered(catalogue(project())).diff(catalogue(project(subprojects=[carrier("AA"), carrier("UA")])))
    at = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    sides = {"registered": digest_over({"a": "1"}), "declared": digest_over({})}
    plan = Plan(**dict(changes), project="delays", made_at=at, made_by="ada@lovelace", as_of=7, **sides)
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    assert plan.model_dump(mode="json")["unchanged"] == 0


def test_one_digest_over_many_does_not_depend_on_their_order() -> None:
    assert digest_over({"a": "1", "b": "2"}) == digest_over({"b": "2", "a": "1"})
    assert len({digest_over(d) for d in ({"a": "1"}, {"a": "2"}, {"b": "1"}, {})}) == 4


def test_every_changed_value_is_named_with_before_after_and_by_which_override() -> None:
    before = resolve(project(), "AA")
    after = resolve(
        project(
            params={"max_depth": 5},
            search_space=SearchSpace(
                learning_rate=Float(0.02, 0.3, log=True), loss=Categorical(["squared", "absolute"])
            ),
            hpo=HPO(metric="rmse", direction="minimize", trials=40, folds=3),
            gates=[ModelSize(30), Threshold("rmse", max=41)],
            stages=[Stage("testing"), Stage("staging"), Stage("production", retraining=Cron("0 4 * * 1"))],
            subprojects=[Subproject("AA", {"carrier": "AA", "region": "west"}, tags={"hub": "DFW"}, hpo={"trials": 9})],
        ),
        "AA",
    )
    changes = {change.path: (change.before, change.after, change.origin) for change in field_changes(before, after)}
    assert changes["config.region"] == ("east", "west", "subproject")
    assert changes["params.max_depth"] == (4, 5, "project")
    assert changes["search_space.learning_rate.low"] == (0.01, 0.02, "project")
    assert changes["search_space.max_depth"] == (Int(2, 10).model_dump(mode="json"), None, "project")
    assert changes["search_space.loss"][0] is None
    assert changes["hpo.trials"] == (40, 9, "subproject")
    assert changes["hpo.folds"] == (5, 3, "project")
    assert changes["gates.threshold_rmse.max"] == (40.0, 41.0, "project")
    assert changes["gates.model_size"][0] is None
    assert changes["stages.staging"][0] is None
    assert changes["stages.production.retraining.schedule.expression"] == ("0 3 * * 1", "0 4 * * 1", "project")
    assert not any(path.startswith(("stages.testing", "tags", "key")) for path in changes)


def test_a_value_that_is_null_differs_from_one_that_is_not_there() -> None:
    before = resolve(project(), "AA")
    after = before.model_copy(update={"params": {**before.params, "new": None}})
    assert before.digest != after.digest
    assert [change.path for change in field_changes(before, after)] == ["params.new"]


def test_two_gates_of_one_kind_are_told_apart() -> None:
    strict, loose = Threshold("rmse", max=40), Threshold("rmse", max=35, required=False)
    before = resolve(project(gates=[strict, loose]), "AA")
    after = resolve(project(gates=[strict, Threshold("rmse", max=36, required=False)]), "AA")
    assert [change.path for change in field_changes(before, after)] == ["gates.threshold_rmse#2.max"]


def test_the_order_of_stages_is_a_change_of_its_own() -> None:
    before = resolve(project(stages=[Stage("testing"), Stage("production")]), "AA")
    after = resolve(project(stages=[Stage("production"), Stage("testing")]), "AA")
    (change,) = field_changes(before, after)
    assert (change.path, change.before, change.after) == (
        "stages",
        ["testing", "production"],
        ["production", "testing"],
    )
    assert before.digest != after.digest

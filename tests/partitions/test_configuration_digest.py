"""The digest of a configuration: equal for equal content however it was made, and different for any other content."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from partitions.catalogue import SubprojectConfiguration, catalogue
from partitions.gates import Gate, ModelSize, Threshold
from partitions.hpo import HPO
from partitions.search_space import Categorical, Fixed, Float, Int, SearchSpace
from partitions.stages import Cron, DeploymentData, Retraining, Stage
from partitions.strategies import Canary, Shadow, Strategy
from partitions.values import part_digest
from tests.partitions.delays_declared import project

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
PLAIN = st.recursive(SCALARS, lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(), below, max_size=3))
VALUES = st.dictionaries(st.text(max_size=8), PLAIN, max_size=4)
DIMENSIONS = st.one_of(
    st.tuples(st.integers(-9, 0), st.integers(1, 9)).map(lambda ends: Int(*ends)),
    st.tuples(st.floats(0.001, 1), st.floats(2, 10)).map(lambda ends: Float(*ends, log=True)),
    PLAIN.map(Fixed),
    st.lists(st.integers(), min_size=1, max_size=3, unique=True).map(Categorical),
)
GATES: st.SearchStrategy[Gate] = st.one_of(
    st.tuples(st.text(), FINITE).map(lambda drawn: Threshold(drawn[0], max=drawn[1])),
    st.floats(1, 100).map(ModelSize),
)
SCHEDULES = st.sampled_from([None, Cron("0 3 * * 1"), Cron("5 4 * * *", timezone="America/New_York")])
STRATEGIES: st.SearchStrategy[Strategy] = st.sampled_from([Canary(0.1), Shadow()])
DATES = st.datetimes(timezones=st.timezones())


@st.composite
def stages(draw: st.DrawFn) -> Stage:
    retraining = Retraining(
        draw(SCHEDULES),
        data=DeploymentData(since=draw(st.none() | DATES)),
        configuration=draw(st.just("best") | VALUES),
    )
    return Stage(
        draw(st.sampled_from(["testing", "production"])),
        retraining=draw(st.sampled_from([None, retraining])),
        strategy=draw(STRATEGIES),
        gates=draw(st.none() | st.lists(GATES, max_size=2)),
    )


@st.composite
def configurations(draw: st.DrawFn) -> SubprojectConfiguration:
    return SubprojectConfiguration(
        project="p",
        key=draw(st.text(min_size=1)),
        config=draw(VALUES),
        tags=draw(st.dictionaries(st.text(), st.text(), max_size=2)),
        params=draw(VALUES),
        search_space=SearchSpace(dimensions=draw(st.dictionaries(st.text(), DIMENSIONS, max_size=3))),
        hpo=draw(st.none() | st.just(HPO(metric="rmse", direction="minimize"))),
        gates=draw(st.lists(GATES, max_size=3).map(tuple)),
        stages=draw(st.lists(stages(), max_size=2).map(tuple)),
        notifications=(),
    )


@given(configurations())
def test_it_is_the_same_after_a_round_trip_through_json(made: SubprojectConfiguration) -> None:
    by_pydantic = SubprojectConfiguration.model_validate_json(made.model_dump_json())
    by_python = SubprojectConfiguration.model_validate(json.loads(json.dumps(made.model_dump(mode="json"))))
    assert made.digest == by_pydantic.digest == by_python.digest


@given(configurations(), configurations())
def test_it_differs_exactly_where_the_content_differs(
    one: SubprojectConfiguration, two: SubprojectConfiguration
) -> None:
    def content(configuration: SubprojectConfiguration) -> str:
        return json.dumps(configuration.model_dump(mode="json", exclude={"origins"}), sort_keys=True)

    assert (one.digest == two.digest) == (content(one) == content(two))


def test_parts_that_are_the_same_object_and_parts_that_are_equal_digest_alike() -> None:
    shared = catalogue(project())
    for key, configuration in shared.items():
        own: dict[str, Any] = configuration.model_dump()
        copied = SubprojectConfiguration.model_validate(own)
        assert copied.search_space is not configuration.search_space
        assert copied.digest == configuration.digest == shared[key].digest


def test_objects_that_are_gone_leave_no_digest_to_those_that_take_their_place() -> None:
    digests = {part_digest(Threshold("rmse", max=float(number))) for number in range(10_000)}
    assert len(digests) == 10_000

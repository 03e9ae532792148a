from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from partitions.errors import DeclarationError
from partitions.run_configuration import RunConfiguration
from partitions.yaml_text import read_yaml, write_yaml


def refused(text: str) -> str:
    with pytest.raises(DeclarationError) as error:
        RunConfiguration.from_yaml(text, "run.yaml")
    assert all(line.startswith("run.yaml") for line in str(error.value).splitlines())
    return str(error.value)


# A busy machine is no failure.
UNHURRIED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(
        [
            "yes",
            "no",
            "on",
            "null",
            "~",
            "1e-3",
            "010",
            "0x1F",
            "2013-01-31",
            "1_000",
            "12:30:45",
            "=",
            "<<",
            "-",
            "# x",
        ]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(SCALARS.filter(lambda k: isinstance(k, str)), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ["yes", "1", "null", "split.test_size"]
)


@st.composite
def configurations(draw: st.DrawFn) -> RunConfiguration:
    folds = draw(st.none() | st.integers(2, 100))
    return RunConfiguration(
        data_version=draw(st.none() | st.text("0123456789abcdef", min_size=6, max_size=64)),
        params=draw(st.dictionaries(KEYS, VALUES, max_size=4)),
        folds=folds,
        fold=None if folds is None else draw(st.none() | st.integers(0, folds - 1)),
        seed=draw(st.none() | st.integers(0, 2**32 - 1)),
    )


@UNHURRIED
@given(configurations(), st.text(max_size=30))
def test_a_run_configuration_comes_back_from_its_file_unchanged(configuration: RunConfiguration, comment: str) -> None:
    text = configuration.to_yaml(comment)
    back = RunConfiguration.from_yaml(text.encode("utf-8").decode("utf-8"), "run.yaml")
    assert back == configuration
    assert back.digest == configuration.digest
    assert back.model_dump_json() == configuration.model_dump_json()
    assert RunConfiguration.model_validate_json(configuration.model_dump_json()) == configuration


@UNHURRIED
@given(configurations())
def test_a_reader_of_yaml_1_1_such_as_dagster_reads_the_same(configuration: RunConfiguration) -> None:
    fields = yaml.safe_load(configuration.to_yaml())
    assert RunConfiguration(**fields).model_dump_json() == configuration.model_dump_json()


def test_numbers_are_read_as_people_write_them() -> None:
    text = "params: {rate: 1e-3, depth: 010, name: yes, day: 2013-01-31, time: 12:30, big: 1_000, hex: 0x10}"
    read = RunConfiguration.from_yaml(text, "run.yaml").params
    assert read == {
        "rate": 0.001,
        "depth": 10,
        "name": "yes",
        "day": "2013-01-31",
        "time": "12:30",
        "big": "1_000",
        "hex": "0x10",
    }


def test_the_file_leaves_out_what_is_not_stated() -> None:
    text = RunConfiguration(params={"max_depth": 4}, seed=7).to_yaml("of run 12\nsecond line")
    assert text == "# of run 12\n# second line\nparams:\n  max_depth: 4\nseed: 7\n"


def test_an_empty_file_states_nothing() -> None:
    assert RunConfiguration.from_yaml("# nothing\n", "run.yaml") == RunConfiguration()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("parms: {a: 1}", "parms: unknown field 'parms'; nearest: params"),
        ("seed: true", "seed: expected a whole number, not True"),
        ("seed: '7'", "seed: expected a whole number, not '7'"),
        ("seed: 4294967296", "seed: expected less than or equal to 4294967295, not 4294967296"),
        ("seed: -1", "seed: expected greater than or equal to 0, not -1"),
        ("folds: 1", "folds: expected greater than or equal to 2, not 1"),
        ("fold: 1", "fold 1 needs folds"),
        ("{fold: 5, folds: 5}", "fold 5 of 5 does not exist: the last one is 4"),
        ("params: [1]", "params: expected a mapping, not [1]"),
        ("params: {a: .nan}", "params.a: expected a finite number, not nan"),
        ("params: {1: 2}", "expected text, not 1"),
        ("- 1", "expected fields such as params and seed, not [1]"),
        ("params: {a: 1", "line 1: not valid YAML"),
        ("seed: 1\nseed: 2", "line 1: not valid YAML: 'seed' is there twice"),
        ("seed: \x00", "not valid YAML"),
        ("params: !!python/object:os.system {}", "not valid YAML"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line_that_names_it(text: str, says: str) -> None:
    message = refused(text)
    assert says in message
    assert len(message.splitlines()) == 1


def test_the_digest_is_over_what_is_neither_data_nor_seed() -> None:
    one = RunConfiguration(params={"a": 1}, folds=5, fold=2, seed=1, data_version="abcdef")
    same = RunConfiguration(params={"a": 1}, folds=5, fold=2)
    assert one.digest == same.digest
    assert len(one.digest) == 64
    assert one.digest != RunConfiguration(params={"a": 1}, folds=5, fold=3).digest
    assert one.digest != RunConfiguration(params={"a": 2}, folds=5, fold=2).digest


def test_shared_lists_are_written_out_twice() -> None:
    shared: list[Any] = [1, 2]
    assert "&" not in write_yaml({"a": shared, "b": shared})
    assert read_yaml(write_yaml({"a": shared, "b": shared}), "x") == {"a": [1, 2], "b": [1, 2]}

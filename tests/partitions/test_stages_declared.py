from datetime import UTC, datetime
from typing import Any

import pytest
from dagster._utils.schedules import is_valid_cron_string

from partitions.errors import DeclarationError
from partitions.gates import ModelSize
from partitions.messages import Message
from partitions.stages import Cron, DeploymentData, Retraining, Stage
from partitions.strategies import ABTest, Canary, Replace, Shadow


@pytest.mark.parametrize(
    "expression",
    [
        "0 3 * * 1",
        "*/5 * * * *",
        "0 0 L * *",
        "0 0 * * 5#2",
        "0 9-17 * * MON-FRI",
        "0 0 1 jan *",
        "0 0 * * 7",
        "0  3 1,15 * *",
    ],
)
def test_a_schedule_we_accept_is_one_that_dagster_accepts(expression: str) -> None:
    assert is_valid_cron_string(Cron(expression).expression)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "@daily",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "0 24 * * *",
        "0 0 30 2 *",
        "0 0 LW * *",
        "0 0 * * 5L",
        "a b c d e",
        "0 0 * * 8",
    ],
)
def test_what_is_no_schedule_is_refused_in_one_line(expression: str) -> None:
    with pytest.raises(DeclarationError, match=r"\ACron [^\n]*expression: [^\n]+\Z"):
        Cron(expression)


@pytest.mark.parametrize("zone", ["Europe/Berln", "../etc/passwd", "America", "", "/etc/localtime"])
def test_an_unknown_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(DeclarationError, match="timezone: unknown time zone"):
        Cron("0 3 * * 1", timezone=zone)


def test_the_nearest_time_zones_are_offered() -> None:
    with pytest.raises(DeclarationError, match="nearest: Europe/Berlin"):
        Cron("0 3 * * 1", timezone="Europe/Berln")


def test_a_cron_alone_is_a_retraining_with_that_schedule() -> None:
    cron = Cron("0 3 * * 1", timezone="America/New_York")
    assert Stage("production", retraining=cron) == Stage("production", retraining=Retraining(cron))


def test_the_window_of_a_retraining_ends_now_unless_said_otherwise() -> None:
    now = datetime(2013, 3, 1, tzinfo=UTC)
    assert DeploymentData().window(now).since is None
    assert DeploymentData().window(now).until == now
    last = DeploymentData(window_days=28).window(now)
    assert (last.since, last.until) == (datetime(2013, 2, 1, tzinfo=UTC), now)
    fixed = DeploymentData(since=datetime(2013, 1, 1), until=datetime(2013, 2, 1)).window(now)  # noqa: DTZ001
    assert (fixed.since, fixed.until) == (datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 2, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Stage("archive"), "'archive' is reserved"),
        (lambda: Stage("Production"), "illegal stage name 'Production'"),
        (lambda: Stage("a", retraining="0 3 * * 1"), "retraining: expected"),  # type: ignore[arg-type]
        (lambda: Stage("a", strategy=Canary), "strategy: "),  # type: ignore[arg-type]
        (lambda: DeploymentData(window_days=0), "window_days: expected greater than 0"),
        (lambda: DeploymentData(window_days=3, since=datetime(2013, 1, 1, tzinfo=UTC)), "not both"),
        (
            lambda: DeploymentData(since=datetime(2013, 1, 1), until=datetime(2013, 1, 1, tzinfo=UTC)),  # noqa: DTZ001
            "must lie before until",
        ),
        (lambda: Retraining(configuration="last"), "configuration: "),
        (lambda: Retraining(follow="my branch"), "follow: expected the name of a branch"),
        (lambda: Canary(1.0), "fraction: expected less than 1"),
        (lambda: Canary(0.0), "fraction: expected greater than 0"),
        (lambda: Canary(0.5, steps=[0.25]), "must grow from one to the next, not 0.5, 0.25"),
        (lambda: Canary(0.1, minutes=0), "minutes: expected greater than 0"),
        (lambda: Shadow(1.5), "fraction: expected less than or equal to 1"),
        (lambda: ABTest(1.0), "fraction: expected less than 1"),
        (lambda: ABTest(min_outcomes=0), "min_outcomes: expected"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, says: str) -> None:
    with pytest.raises(DeclarationError) as error:
        make()
    assert says in str(error.value)


@pytest.mark.parametrize(
    "stage",
    [
        Stage("testing"),
        Stage("a_b2", retraining=Retraining(on_new_data=True, configuration={"max_depth": 4}, follow="main")),
        Stage("shadowed", strategy=Shadow(0.5, minutes=30), gates=[]),
        Stage(
            "production",
            retraining=Retraining(Cron("0 3 * * 1"), data=DeploymentData(window_days=30)),
            strategy=Canary(0.1, steps=(0.5,), minutes=5),
            gates=[ModelSize(30)],
            notifications=[Message("env:TEAM_CHAT", events=["deployed"])],
        ),
        Stage("ab", strategy=ABTest(metric="rmse"), retraining=Retraining(data={"since": "2013-01-01T00:00:00Z"})),
    ],
)
def test_a_stage_comes_back_from_json_unchanged(stage: Stage) -> None:
    assert Stage.model_validate_json(stage.model_dump_json()) == stage


def test_a_new_model_replaces_the_old_one_unless_said_otherwise() -> None:
    assert Stage("testing").strategy == Replace()
    assert Stage("testing").gates is None

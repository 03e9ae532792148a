"""What is said while subprojects arrive: a line each where they are few, parts of all where they are many."""

import io

import pytest
from rich.console import Console

from mlops_assets.assets.way import Arrived
from mlops_assets.cli.progress import arrivals
from mlops_assets.tracking.record import RunError


def lines_of(total: int, failing: set[int]) -> list[str]:
    out = io.StringIO()
    with arrivals(total, "running", Console(file=out, width=200)) as arrive:
        for number in range(1, total + 1):
            error = RunError(message="no") if number in failing else None
            arrive(Arrived(f"s[{number}]", error=error))
    return out.getvalue().splitlines()


def test_few_have_a_line_each() -> None:
    lines = lines_of(3, {2})
    assert [line.split(":")[0] for line in lines] == ["1/3 s[1]", "2/3 s[2]", "3/3 s[3]"]
    assert "failed" in lines[1]


@pytest.mark.parametrize("total", [41, 100, 1000, 1237])
def test_many_have_a_line_per_part_and_per_failure(total: int) -> None:
    lines = lines_of(total, {7, 40})
    failures = [line for line in lines if line.endswith(": failed")]
    assert [line.split()[0] for line in failures] == [f"7/{total}", f"40/{total}"]
    parts = [line for line in lines if line not in failures]
    assert 17 <= len(parts) <= 20
    assert parts[-1].startswith(f"{total}/{total}, 2 failed, the last s[{total}]")

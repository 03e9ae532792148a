"""What a launch says of itself as it goes: a line each for few subprojects, a line now and then for many."""

from mlops_assets.assets.following import FEW, Progress, said_of
from mlops_assets.assets.way import Arrived
from mlops_assets.tracking.record import RunError


def arrived(key: str, error: str | None = None) -> Arrived:
    return Arrived(key, error=RunError(message=error) if error else None)


def counted(progress: Progress, batch: list[Arrived]) -> list[str]:
    for item in batch:
        progress.count(item)
    return list(progress.lines(batch))


def test_few_subprojects_have_a_line_each() -> None:
    progress = Progress(3)
    assert counted(progress, [arrived("a"), arrived("b", "b broke")]) == ["1/3 a: dataset ", "2/3 b: failed"]
    assert counted(progress, [arrived("c")]) == ["3/3 c: dataset "]
    assert progress.failed == {"b": "b broke"}


def test_many_have_a_line_for_the_first_batch_then_one_every_few_seconds_and_one_at_the_end() -> None:
    progress = Progress(FEW + 100)
    (first,) = counted(progress, [arrived(f"s{n}") for n in range(10)])
    assert first.startswith(f"10/{FEW + 100}, 0 failed, ") and first.endswith(" s left")
    assert counted(progress, [arrived(f"t{n}") for n in range(10)]) == []
    rest = [arrived(f"u{n}", "broke") for n in range(FEW + 80)]
    (last,) = counted(progress, rest)
    assert last.startswith(f"{FEW + 100}/{FEW + 100}, {FEW + 80} failed, ") and last.endswith("all arrived")


def test_a_subproject_that_stopped_says_so() -> None:
    assert said_of(arrived("a", "whatever")) == "a: failed"

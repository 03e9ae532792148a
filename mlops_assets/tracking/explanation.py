"""Why two runs differ in a metric: the part of each cause, beside what the seed alone does."""

import math
import statistics
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Literal

from pydantic import computed_field

from mlops_assets.tracking.shapley import Combination, Group, coefficients, shapley
from partitions.pipeline import Better
from partitions.values import Value

CONFIDENCE = 0.95
# Parts are sums of a few numbers: what is left of them by rounding is nothing.
ROUNDING = 1e-12
BAR = 28

Verdict = Literal["real", "noise", "none", "unknown"]


class ExplanationPlan(Value):
    """What explaining two runs takes, before anything is run.

    parts: the causes that differ, several in one where they cannot be told apart (``notes`` say why). combinations: of
    the causes, the two runs among them. found: runs that are there already. to_run, seeds_to_run: combinations and
    further seeds that have to be run. seconds: about how long that takes, from what the two runs took.
    """

    run_a: str
    run_b: str
    where: str
    metric: str
    parts: tuple[str, ...]
    combinations: int
    found: int
    to_run: int
    seeds_to_run: int
    seconds: float
    differs: dict[str, tuple[str, ...]] = {}
    notes: tuple[str, ...] = ()

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own order of decorators
    @property
    def runs(self) -> int:
        """How many runs will be made."""
        return self.to_run + self.seeds_to_run

    def lines(self) -> list[str]:
        causes = ", ".join(self.parts) or "nothing that is recorded"
        head = f"{self.where}: what differs is {causes}: {self.combinations} combinations, {self.found} runs are there"
        if not self.runs:
            return [f"{head}; nothing has to be run"]
        seeds = f" and {self.seeds_to_run} more seeds" if self.seeds_to_run else ""
        return [f"{head}; to run: {self.to_run} combinations{seeds}, about {duration(self.seconds)}", *self.notes]

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    __str__ = __repr__


class Noise(Value):
    """What the seed alone does to the metric: ``spread`` is its standard deviation over the runs' ``values``.

    same_predictions: every seed gave the same predictions. runs: ids, in the order of ``values``.
    """

    seeds: tuple[int, ...]
    values: tuple[float, ...]
    runs: tuple[str, ...]
    same_predictions: bool = False

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own order of decorators
    @property
    def spread(self) -> float | None:
        """None where there is one seed only, so that nothing is known."""
        if self.same_predictions and len(self.values) > 1:
            return 0.0
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    def half_width(self, weights: Sequence[float]) -> float | None:
        """What a sum of runs so weighted differs by at most in 95 % of cases, if only the seed is at work.

        Every run's noise counts as its own, though runs of one seed share some of it: that is cautious.
        """
        if self.spread is None:
            return None
        if self.spread == 0.0:
            return 0.0
        from scipy.special import stdtrit

        quantile = float(stdtrit(len(self.values) - 1, (1 + CONFIDENCE) / 2))
        return quantile * self.spread * math.sqrt(math.fsum(weight * weight for weight in weights))

    @property
    def said(self) -> str:
        if self.spread is None:
            return "how much the seed alone changes is not known (no other seeds were run)"
        if self.same_predictions:
            return f"{len(self.values)} seeds give the same predictions: there is no noise"
        return f"over {len(self.values)} seeds of the first run's combination: standard deviation {self.spread:.4g}"


class Part(Value):
    """What one cause (or several that cannot be told apart) does to the metric, averaged over all orders.

    part: in units of the metric, positive where it is larger in the second run. share: of the whole difference; None
    where that is zero. alone: what this cause does if nothing else changes. noise: within plus and minus so much the
    seed alone would do (95 %). differs: what is different in it, in words.
    """

    cause: str
    part: float
    share: float | None
    alone: float | None
    noise: float | None
    verdict: Verdict
    differs: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        if self.cause == "seed" and self.verdict != "none":
            return "the seed's own" if self.verdict != "real" else "the seed's own, more than usual"
        words: dict[Verdict, str] = {"real": "real", "noise": "inside the noise", "none": "no effect"}
        return words.get(self.verdict, "noise not known")


class CombinationRun(Value):
    """The run of one combination: the causes that are as in the second run, and what came out."""

    as_in_b: tuple[str, ...]
    run_id: str
    value: float
    made_now: bool = False


class Explanation(Value):
    """The difference of a metric between two runs, split into parts that add up to it.

    notes: what has to be known to read the parts. made: how many runs were made for it.
    """

    run_a: str
    run_b: str
    where: str
    metric: str
    better: Better | None = None
    before: float
    after: float
    parts: tuple[Part, ...]
    noise: Noise
    combinations: tuple[CombinationRun, ...] = ()
    notes: tuple[str, ...] = ()
    made: int = 0

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own order of decorators
    @property
    def difference(self) -> float:
        return self.after - self.before

    def headline(self) -> str:
        change = (
            f"{self.metric} {self.before:.6g} -> {self.after:.6g} ({self.difference:+.4g}{self._better_or_worse()})"
        )
        real = [part.cause for part in self.parts if part.verdict == "real" and part.cause != "seed"]
        if self.difference == 0 and not real:
            why = "there is nothing to explain"
        elif real:
            why = f"because of {', '.join(real)}"
        elif any(part.verdict == "unknown" for part in self.parts):
            why = "whether it is noise is not known"
        else:
            why = "no cause has done more than the seed's noise"
        return f"{self.where}: {change}: {why}"

    def _better_or_worse(self) -> str:
        if self.better is None or self.difference == 0:
            return ""
        losses = {"min": self.difference, "max": -self.difference, "zero": abs(self.after) - abs(self.before)}
        loss = losses[self.better]
        return "" if loss == 0 else ", worse" if loss > 0 else ", better"

    def rows(self) -> list[dict[str, Any]]:
        """The parts as plain rows, the largest first as they are kept."""
        return [{**part.model_dump(mode="json"), "said": part.said} for part in self.parts]

    def lines(self) -> list[str]:
        """All of it, for people; the first line says it in short."""
        bars = waterfall(self)
        width = max((len(part.cause) for part in self.parts), default=0)
        told = [
            f"{part.cause:<{width}} {part.part:>+11.4g} {share(part.share):>6} {bar} {part.said}"
            for part, bar in zip(self.parts, bars[1:-1], strict=True)
        ]
        differs = [f"{part.cause}: {line}" for part in self.parts for line in part.differs]
        return [self.headline(), *told, f"noise: {self.noise.said}", *differs, *self.notes]

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    __str__ = __repr__

    def _repr_html_(self) -> str:
        import base64

        from mlops_assets.learning.waterfall import draw_waterfall

        steps = [(part.cause, part.part, part.noise) for part in self.parts]
        picture = base64.b64encode(draw_waterfall(self.metric, self.before, steps, self.better)).decode()
        head = ("cause", "part", "share", "alone", "noise ±", "verdict", "what differs")
        body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in _cells(part))}</tr>" for part in self.parts)
        total = f"<tr><td><b>all</b></td><td><b>{self.difference:+.4g}</b></td>{'<td></td>' * 5}</tr>"
        notes = "".join(f"<li>{escape(note)}</li>" for note in (f"noise: {self.noise.said}", *self.notes))
        return (
            f"<p><b>{escape(self.headline())}</b><br>{escape(self.run_a)} -> {escape(self.run_b)}</p>"
            f"<table><thead><tr>{''.join(f'<th>{name}</th>' for name in head)}</tr></thead>"
            f"<tbody>{body}{total}</tbody></table>"
            f'<img alt="waterfall of {escape(self.metric)}" src="data:image/png;base64,{picture}"><ul>{notes}</ul>'
        )


def judged(
    groups: Sequence[Group], values: Mapping[Combination, float], noise: Noise, differs: Mapping[str, Sequence[str]]
) -> list[Part]:
    """The parts of these groups in the difference that ``values`` (of every combination) have, the largest first.

    Shares are of that difference.
    """
    everything = frozenset(cause for group in groups for cause in group)
    whole = values[everything] - values[frozenset()]
    smallest = ROUNDING * max(abs(value) for value in values.values())
    parts = []
    for group, part in shapley(groups, values).items():
        half = noise.half_width(list(coefficients(groups, group).values()))
        parts.append(
            Part(
                cause=" + ".join(group),
                part=part,
                share=part / whole if abs(whole) > smallest else None,
                alone=values[frozenset(group)] - values[frozenset()],
                noise=half,
                verdict=_verdict(part, half, smallest),
                differs=tuple(line for cause in group for line in differs.get(cause, ())),
            )
        )
    return sorted(parts, key=lambda part: -abs(part.part))


def _verdict(part: float, half: float | None, smallest: float) -> Verdict:
    if abs(part) <= smallest:
        return "none"
    if half is None:
        return "unknown"
    return "noise" if abs(part) <= half else "real"


def waterfall(explanation: Explanation) -> list[str]:
    """A bar of text for the value before, for each part and for the value after, on one scale."""
    levels = [explanation.before]
    for part in explanation.parts:
        levels.append(levels[-1] + part.part)
    low, high = min(levels), max(levels)
    scale = (BAR - 1) / (high - low) if high > low else 0.0
    places = [round((level - low) * scale) for level in levels]

    def bar(one: int, other: int, mark: str) -> str:
        start, end = sorted((one, other))
        return (" " * start + mark * (end - start + 1)).ljust(BAR)

    steps = zip(places, places[1:], explanation.parts, strict=False)
    drawn = [bar(one, other, "|" if one == other else "▓" if part.part > 0 else "░") for one, other, part in steps]
    return [bar(places[0], places[0], "|"), *drawn, bar(places[-1], places[-1], "|")]


def duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _cells(part: Part) -> list[str]:
    numbers = [f"{part.part:+.4g}", share(part.share)]
    numbers += [
        "" if value is None else f"{value:{form}}" for value, form in ((part.alone, "+.4g"), (part.noise, ".4g"))
    ]
    return [escape(part.cause), *numbers, escape(part.said), "<br>".join(escape(line) for line in part.differs)]

"""The mean difference of two runs over the same rows, with an interval: what is inside the noise is called noise."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

FEWEST = 20
CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class PairedMeans:
    """By group of rows: how many, the mean loss of both runs, and the mean difference with its interval.

    low, high: NaN where there are fewer than 20 rows, which say nothing about noise.
    """

    rows: "np.ndarray[Any, Any]"
    base: "np.ndarray[Any, Any]"
    other: "np.ndarray[Any, Any]"
    low: "np.ndarray[Any, Any]"
    high: "np.ndarray[Any, Any]"

    @property
    def difference(self) -> "np.ndarray[Any, Any]":
        import numpy as np

        return np.asarray(self.other - self.base)

    def verdicts(self, base: str, other: str) -> list[str]:
        """``b better``, ``a better``, "noise", "equal" (no row differs) or "few rows", by group."""
        import numpy as np

        words = np.full(len(self.rows), "noise", dtype=object)
        words[self.high < 0] = f"{other} better"
        words[self.low > 0] = f"{base} better"
        words[(self.low == 0) & (self.high == 0)] = "equal"
        words[np.isnan(self.low)] = "few rows"
        return [str(word) for word in words]


def paired_means(
    losses: "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]",
    groups: "np.ndarray[Any, Any]",
    tests: int | None = None,
) -> PairedMeans:
    """The losses of the base and of another run by group (a number from 0 for every row).

    Student's interval over the rows' differences, which takes out how hard each row is. All ``tests`` intervals (by
    default, as many as there are groups with enough rows) hold together with 95 %: of 200 slices, ten would stand out
    by chance alone. Rows are taken as independent of each other.
    """
    import numpy as np
    from scipy.special import stdtrit

    base, other = losses
    rows = np.bincount(groups)
    filled = np.maximum(rows, 1)
    means = [np.bincount(groups, weights=values) / filled for values in (base, other)]
    apart = other - base
    centred = apart - (means[1] - means[0])[groups]
    enough = rows >= FEWEST
    freedom = np.maximum(rows - 1, 1)
    spread = np.sqrt(np.bincount(groups, weights=centred**2) / freedom / filled)
    number = max(1, int(enough.sum()) if tests is None else tests)
    reach = spread * stdtrit(freedom, 1.0 - (1.0 - CONFIDENCE) / (2.0 * number))
    middle = means[1] - means[0]
    # Differences of equal numbers can leave a last bit, which is no difference.
    same = np.bincount(groups, weights=(base != other)) == 0
    low = np.where(enough, np.where(same, 0.0, middle - reach), np.nan)
    high = np.where(enough, np.where(same, 0.0, middle + reach), np.nan)
    return PairedMeans(rows, means[0], means[1], low, high)

"""Tables as plain data that any JSON reader takes."""

import math
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def records_of(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """A mapping per line; missing values, NaN and the infinities are None."""
    columns = [str(name) for name in table.columns]
    lines = table.itertuples(index=False, name=None)
    return [dict(zip(columns, map(plain_value, line), strict=True)) for line in lines]


def plain_value(value: Any) -> Any:
    """The value as null, booleans, numbers, text, lists and mappings."""
    import pandas as pd

    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, Mapping):
        return {str(name): plain_value(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain_value(item) for item in value]
    if isinstance(value, str):
        return value
    if isinstance(value, date):
        return value.isoformat()
    if hasattr(value, "tolist"):
        return plain_value(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, bool | int) else str(value)

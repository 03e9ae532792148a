"""The model that gates judge."""

import pytest

from mlops_assets.quality.gates import Judged
from tests.quality.judged_models import judged


@pytest.fixture(scope="module")
def model() -> Judged:
    return judged()

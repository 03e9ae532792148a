"""The small project of the end-to-end tests, for tests that kill what runs it."""

from tests.end_to_end.conftest import folder as folder

"""The storage that dagster.yaml of a home names. Dagster loads it in processes that know neither project nor package.

Its name starts with this package, which is nobody else's: of a project with a ``resources`` package of its own, Dagster
would look there for a storage named ``resources.…``.
"""

from resources.event_storage.configured import HomeStorage

__all__ = ["HomeStorage"]

"""Dagster's own storages, kept as they are in what they write and answer, made fast: see docs/decisions/0005.

Dagster is told of them by dagster.yaml, which names ``configured.HomeStorage``; nothing else needs to know them.
"""

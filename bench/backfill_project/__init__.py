"""A project whose subprojects cost next to nothing, so that a backfill of them shows what a backfill costs."""

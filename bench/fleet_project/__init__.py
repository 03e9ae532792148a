"""The project that bench/fleet.py trains."""

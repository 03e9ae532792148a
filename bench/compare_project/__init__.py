"""The project whose runs bench/compare.py compares."""

"""The project that bench/retraining.py retrains."""

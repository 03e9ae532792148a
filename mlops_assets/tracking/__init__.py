"""The read side of the event log: records of runs and how to find them."""

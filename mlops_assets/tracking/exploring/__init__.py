"""Any set of tracked runs, explored: which configuration, which parameter, by how much."""

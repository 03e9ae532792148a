"""The asset graph, thin: read ports, call learning, write ports, add metadata."""

"""Two or more runs beside each other: what differs in what defines them, in their metrics, and row by row."""

"""What a set of evaluations says of its parameters: as numbers and as pictures. Whatever made the runs."""

"""A project in use, role by role: each class adds one thing that people do with a project."""

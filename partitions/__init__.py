"""What exists: every declaration of a project, as frozen values with their whole validation."""

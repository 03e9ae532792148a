"""Messages to people: an outbox that forgets nothing, and the way out of it through Apprise."""

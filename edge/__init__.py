"""A gateway: where a value is born, kept, and sent until the cloud says that it is stored."""

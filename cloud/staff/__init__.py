"""The room of the people who work in the garden: they sign in, see what waits for them, and keep the registry."""

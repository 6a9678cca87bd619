"""What edge and cloud promise each other: quantities, batch format, topics. Pure: no input, no output, no clock."""

# The one place that says which gocche this is; importlib.metadata would cost the edge 3 MiB for it.
VERSION = "0.1.0"

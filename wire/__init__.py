"""What edge and cloud promise each other: quantities, batch format, topics. Pure: no input, no output, no clock."""

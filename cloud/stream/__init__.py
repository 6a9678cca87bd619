"""What comes from the broker: the connection, those who follow it, and the newest of what they heard."""

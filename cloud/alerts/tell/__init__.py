"""Tell: intents become letters, the most urgent first; a courier for each channel carries them in time."""

"""Work that no page waits for: jobs with their progress, and child processes bounded in memory and time."""

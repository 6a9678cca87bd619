"""The week of a commune: where there is service, what was lost, what to do next; gathered, and put into words."""

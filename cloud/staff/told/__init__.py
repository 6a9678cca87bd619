"""What is told of a tree and read by a second person first: stories, photos, voices."""

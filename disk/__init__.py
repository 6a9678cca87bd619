"""What edge, cloud and the door ask of a file: that it is theirs alone, and that it is on the disk."""

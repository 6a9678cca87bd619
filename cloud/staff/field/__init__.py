"""What is hung up in the garden with a telephone, with signal or without."""

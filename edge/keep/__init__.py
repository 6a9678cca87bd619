"""A value becomes safe: held, committed, cut into batches, freed only by the cloud's word."""

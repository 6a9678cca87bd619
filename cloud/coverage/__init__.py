"""Coverage: from what modems say to where there is signal, for whom, since when."""

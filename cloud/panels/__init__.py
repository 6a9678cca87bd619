"""What staff see in Grafana: boards made from the quantity table, and the files that Grafana loads by itself.

The files are Grafana's classic provisioning (dashboard JSON version 1), which Grafana 8 to 13 read: no token is needed,
the same input gives the same bytes, and a review shows what changed. JSON of version 2 does not load this way.
"""

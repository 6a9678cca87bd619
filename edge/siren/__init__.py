"""A siren at the gateway: it warns by a rule that is here, whatever the network does.

    sampler, detector → watch (what is heard) → rule (shall it sound?) → coil or line → ears

It fails safe: off at the start, at the stop and after three minutes; what the board says of its own relay is believed,
not that an order was sent. docs/siren.md says how it is wired; orders from the cloud are none of its business.
"""

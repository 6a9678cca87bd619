"""Who comes in: origin, session, role and form are judged here before any handler runs."""

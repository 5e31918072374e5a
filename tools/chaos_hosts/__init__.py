"""``make chaos-hosts``: several hosts on one PostgreSQL, random faults, and a checker over all that has happened."""

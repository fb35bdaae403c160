"""What `mopd status` says of a run.

state       all of it, as plain JSON                text        that for people
signals     the part by teacher and verifier        guards      the part by breaches
index       what was said of finished rounds of many shards
"""

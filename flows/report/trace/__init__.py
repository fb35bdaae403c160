"""The lineage of one rollout, from its task to the updates that trained on it: `mopd trace`.

lineage     the steps, one after the other       facts      what the rows of each step say of the rollout
shards      the shard that each step stands in   text       all that for people
"""

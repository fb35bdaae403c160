"""What worker processes do for a shard: the jobs, and what they load, that `flows.plan.stage` names.

A job is given what was loaded and its work, and returns the rows of its shard, or its manifest where it published that.
torch, transformers and vLLM are imported by these modules only, never in the process that runs the flows.
"""

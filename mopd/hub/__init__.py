"""The Hugging Face hub: how its repositories are named, loaded once, found again without a network, and written to.

A name is pinned to a commit before anything is loaded. What was loaded lies in the hub's own cache (HF_HUB_CACHE); in
mopd's cache, a folder a commit says which files of it are used, and is there only when all of them are.
"""

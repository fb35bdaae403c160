"""Where rows live: schemas, run folders, shards with manifests, a SQL catalog. Knows nothing of models.

    schemas             the tables and their columns            arrow      rows to Arrow, checked against them
    runs, lineage       run.json, and what a fork took over     files      whole or absent: locks, fsync, renaming
    shards, manifests   commit, and find what was committed     reading    rows, or columns of arrays
    policies            their folders, as files of this host    index      a hint of what a round holds
    catalog, episodes   SQL over a run                          digest     one hash a table
    integrity           are the bytes still those?              garbage    what killed commits left

Where all that lies, `store` says, an interface; behind it are

    local       a folder of this host                           address    which of the two an address names
    objects     a prefix of a bucket, by the requests of `bucket`, held by a `lease`, with `copies` on this host

`storage.shards` has what most callers need: commit_shard, commit_folder, find_manifest, manifests, read_rows.
"""

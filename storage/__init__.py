"""Where rows live: schemas, run folders, shards with manifests, a SQL catalog. Knows nothing of models.

    schemas             the tables and their columns            arrow      rows to Arrow, checked against them
    runs, lineage       run.json, and what a fork took over     reading    rows, or columns of arrays
    keys, manifests     what decides a shard, what is said of   digest     one hash a table
                        it, and where that lies
    shards, lookup      commit, and find what was committed
    policies            their folders, as files of this host    index      a hint of what a round holds
    integrity, fit      are the bytes still those, do the rows  garbage    what killed commits left, and earlier lines
                        fit together?                           aside      the damaged, moved out of the way

    stores/     where all that lies: `base` says what a store promises; `local` are folders of a host, whole or absent
                by `files`; `objects` are prefixes of a bucket, held by a `lease`, with `copies` on this host
    sql/        the catalog, its views, and the tables of a run as they see them

`storage.shards` has what most callers need: commit_shard, commit_folder, find_manifest, manifests, read_rows.
"""

"""Where rows live: schemas, run folders, shards with manifests, a SQL catalog. Knows nothing of models."""

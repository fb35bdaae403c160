"""SQL over runs: the tables of a run, the views that DuckDB is given, the catalog that answers."""

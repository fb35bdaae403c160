"""The page: our scripts and style, the libraries that it has inside, and how it is put together."""

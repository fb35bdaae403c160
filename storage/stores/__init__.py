"""Where the files of runs lie: what a store promises (`base`), folders of a host (`local`), buckets (`objects`)."""

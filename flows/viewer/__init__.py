"""A run to look at: one page, written as a file that opens without a network, or served beside the run."""

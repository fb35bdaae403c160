"""What `mopd sql` asks: which runs, what is known of them beside their tables, how rows are printed."""

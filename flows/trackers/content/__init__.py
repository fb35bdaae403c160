"""What trackers are sent of a run: its chapters, read from its tables, and how that is said in Markdown."""

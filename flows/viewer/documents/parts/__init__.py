"""What documents of whole runs are made of: curves, settings, sentences."""

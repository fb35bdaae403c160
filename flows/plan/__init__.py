"""What a run will have: its shards, the stages that make them, and the settings that decide them."""

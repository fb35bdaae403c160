"""How trained weights move: the learning rate of a step, and AdamW in the memory that there is."""

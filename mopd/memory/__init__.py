"""Memory by arithmetic: what stages take, what there is, what to lower."""

"""What another verifier says of a run's rollouts, and what that would change."""

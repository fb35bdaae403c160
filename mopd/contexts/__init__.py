"""What a teacher is shown of a rollout's peers: who may be shown, who is, and how it is rendered."""

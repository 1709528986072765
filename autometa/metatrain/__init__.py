"""Meta-training: what the outer loop trains on."""

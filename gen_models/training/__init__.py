"""What happens around the training step: budget, progress, grids, checkpoints, interruption."""

"""The demo model, from drawn pictures to a checkpoint: `python -m training.train` runs every stage."""

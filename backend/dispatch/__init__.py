"""The front's side of the workers: jobs are leased to them, results written down, pages told."""

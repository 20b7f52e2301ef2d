"""The static page of a run's clusters: `predict.py --gallery`."""

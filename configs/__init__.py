"""Settings: their schema, their defaults as YAML, and how a run's config is put together."""

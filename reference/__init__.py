"""The parts of docs/ that the code knows: settings, metrics, outcomes and reasons. A development tool.

- `settings` walks the models of the config file; so does `exporter.config.schema`, the JSON Schema for editors
- `metrics` and `words` do the same for what is published, and for the closed lists of outcomes and reasons
- `pages` puts the tables into the pages, between their marks
- `build` writes all of it, or checks that it is up to date
"""

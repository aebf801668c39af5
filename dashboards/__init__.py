"""Grafana's dashboards, built in Python with Grafana's own SDK; a development tool, not part of the programs.

- `foundations` has the rows of *Diego foundations*
- `panels` is the house style: one function for each kind of panel
- `build` writes the JSON files that operators import, or checks that they are up to date
"""

"""Grafana's dashboards, built in Python with Grafana's own SDK; a development tool, no part of the programs.

- `foundations` says what *Diego foundations* shows and what to do when a panel is red
- `panels` is the house style: one function for each kind of panel
- `build` writes the JSON files that operators import, or checks that they are up to date
"""

"""Measurements against the alternatives, side by side in one run: `python -m bench`.

Reads from top to bottom: rows.py lists what is measured, workshop.py has what the rows need (images, data, a project)
and removes it all, figures.py turns samples into figures, report.py writes docs/performance.md.
"""

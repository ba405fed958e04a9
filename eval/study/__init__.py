"""The study: objectives compared on long horizons, its results as CSV, and the page made of them.

`eval/STUDY.md` is the page. `python -m eval.study` makes its tables and figures again.
"""

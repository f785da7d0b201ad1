"""Records, one per run, and everything that is made from them: tables, figures and reports.

Nothing here imports torch or another part of the package but its errors: a report is a pure
function of the records on disk. Importing this package alone loads nothing heavy.
"""

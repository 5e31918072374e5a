"""The model that comes with the studio: its process (`process`), the process's owner (`server`), the model (`model`).

With several workers the launcher owns the process; they reach it by `remote`.
"""

"""The model that comes with the studio: its process (`llama_process`), who owns that (`server`), the model (`model`).

With several workers the launcher owns the process; they reach it by `remote`.
"""

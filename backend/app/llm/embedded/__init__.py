"""The model that comes with the studio: its process (`llama_process`), who owns that (`server`), the model (`model`).

With several workers the supervisor owns the process; they reach it by `remote`.
"""

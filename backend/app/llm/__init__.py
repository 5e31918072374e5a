"""The language model that the studio asks: the embedded one or anybody's.

Nothing is imported here: the model server's own process (`server_process`) loads this package and wants to be quick.
"""

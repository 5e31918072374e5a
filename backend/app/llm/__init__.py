"""The language model that the studio asks: the embedded one, or that of any provider.

Nothing is imported here: the process of the embedded model (`embedded.process`) loads this package and has to be quick.
"""

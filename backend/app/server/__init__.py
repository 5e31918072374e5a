"""The processes that serve the studio: `launcher`, `supervisor` and `worker`, and uvicorn inside of each.

Nothing here imports the application. It is named by the import string of its factory, as in ``uvicorn --factory``, and
imported when the ports are bound: so a taken port is reported at once.
"""

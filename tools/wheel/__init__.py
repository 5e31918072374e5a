"""Build what is installed: the folders of the library under one name, `sparklio`, which no other distribution has.

In the repository they import as `events`, `metrics` and `traces`. Installed so, they would be in the way of every
project with an ``events.py``, and of PyPI's Events, which opensearch-py needs. So the wheel has ``sparklio/events`` and
its like, whose code is that of the folders but for the names:

- `renaming`: the names of the packages in imports, docstrings, messages and comments, and nothing else
- `staging`: the folder ``sparklio`` as it is installed
- `build_hook`: what hatchling calls, for whoever builds: ``make wheel``, ``pip install``, ``uv build``
- ``README.md``: the page of the distribution
"""

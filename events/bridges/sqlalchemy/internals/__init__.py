"""SQLAlchemy's private attributes, each reached by a named accessor; the only package here that touches them.

Each accessor is tested once on the installed SQLAlchemy, when it is first used. If it does not do what it should, a
warning is logged, and a public alternative takes its place; what that costs is in the accessor's docstring. The tests
open no connection through SQLAlchemy and configure no mapper, so that no listener of the program's is called.

`execution` reaches into execution contexts and results, `engines` into engines and dialects, `pools` into pools,
`lazy_loading` into the ORM; `self_tests` runs the tests.
"""

"""prometheus_client's own instruments by their private parts; the only package that touches those.

`writing` writes them fast, `moving` moves them fast, `children` reaches the numbers in them and puts
others in their place. Each tries itself on the version at hand when it is first used, and gives way to the
public face where it does something else there.
"""

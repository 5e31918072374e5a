"""prometheus_client's private parts, used for speed; the only package that touches them.

`children` reaches the value objects inside counters, gauges and histograms and replaces them; `update` updates them, by
code that `codegen` generates for each `shape` of `plan`, under the one `lock`, and leaves the rest to `public_update`;
`write` renders them, by the lines that `child_layouts` says, but for `written_families` that have not changed. Each
module has a `self_test`, which runs when it is first needed; where it fails, prometheus_client's public methods are
used instead.
"""

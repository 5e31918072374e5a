"""The cost of a studio's series to those who store them: ``python -m benchmarks.sizing`` writes ``docs/cost.md``."""

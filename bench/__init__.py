"""Benchmarks: `make bench` runs them all, `python -m bench.NAME --help` one. Each prints one JSON line a row."""

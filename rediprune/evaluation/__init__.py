"""Measure methods and models: checks on real weights, sweeps over keep ratios, benchmarks."""

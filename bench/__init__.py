"""Benchmarks: what the promises cost, measured beside what a user would pick instead."""

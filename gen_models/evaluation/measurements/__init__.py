"""Measurements: evidence to named values."""

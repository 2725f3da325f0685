"""Splits of models of no known family, read off their traced graph."""

"""Realistic exports of made-up departments about made-up enterprises.

The same seed gives the same bytes. ``season`` writes a demo season together with the truth about
it; ``bulk`` one file of any size. Every code is right in form and impossible in fact.
"""

"""The operators' console: what the hub is doing, what is in danger, and what people may do about it.

A page shows what a desk says and hands what was asked to the desk; it holds no rule of its own.
"""

"""Delivery: notices go to the departments that subscribe, each to its own endpoint."""

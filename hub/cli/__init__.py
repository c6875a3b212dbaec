"""The command line: one module per group of commands; it asks, prints, and decides nothing."""

"""Files that a department's people hand in by a page: looked at first, then read by intake as any export."""

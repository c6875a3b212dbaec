"""Redis: indexes that speed questions up and rebuild from topics; never the truth."""

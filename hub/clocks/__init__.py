"""Stage: statutory deadlines. Signals and receipts in, states of clocks and alerts out."""

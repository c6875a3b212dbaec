"""What an operator asks: what came of everything, and the way of one enterprise."""

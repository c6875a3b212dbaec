"""Who a row is about, where no valid code says it: the register, what waits for a person, and their word."""

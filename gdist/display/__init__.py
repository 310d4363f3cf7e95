"""What a run looks like while it trains and when it has ended. Only the process that the user started draws."""

"""The registry of this process and the subscription that feeds it."""

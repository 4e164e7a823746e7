"""The state of the account that a namespace is."""

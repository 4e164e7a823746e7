"""CloudQuotas: the account's limits and what counts against them."""

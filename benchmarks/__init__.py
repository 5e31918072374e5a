"""What is claimed, measured beside others; `table` lists the rows, ``make bench`` runs them."""

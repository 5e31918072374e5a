"""What we claim, measured side by side with others: ``make bench``. Nothing here is part of the product."""

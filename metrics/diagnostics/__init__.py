"""What looks for numbers that are missing or wrong: `check` reads code, `doctor` asks a running server."""

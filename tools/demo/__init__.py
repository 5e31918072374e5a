"""A studio that lives through good and bad times on a scripted model: for demonstrations, pictures and tests."""

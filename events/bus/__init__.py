"""How a fact travels: signals, spans, the code that emits, the receivers it calls, and the context in between."""

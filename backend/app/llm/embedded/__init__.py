"""The model that comes with the studio: a server process around llama.cpp, and how it is reached."""

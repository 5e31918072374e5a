"""What serves the studio: the launcher, one process or a supervisor with several, their sockets."""

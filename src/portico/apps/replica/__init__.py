"""A gateway in the eyes of whoever keeps its store: all of its workers as one replica, which reports of itself."""

"""State of the handshake era: a leaf that can be deleted on the day its last client is gone."""

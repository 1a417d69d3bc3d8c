"""What a message means. Knows methods, no HTTP."""

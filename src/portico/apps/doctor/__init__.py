"""`portico doctor`: what stands between this machine and a gateway that serves, and how to mend it."""

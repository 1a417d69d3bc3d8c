"""`portico inspect`: what an endpoint offers, from where, and in which era each leg is spoken."""

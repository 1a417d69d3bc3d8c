"""The data plane, in the order a request meets it: ingress, entry, transport, protocol, routing, upstream."""

"""Documents as files of a directory; what else a store keeps lies in a small database beside them."""

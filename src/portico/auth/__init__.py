"""Who asks: from a credential to a principal, or a refusal."""

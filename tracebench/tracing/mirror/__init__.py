"""The mirror: the times that a server copies into its reply."""

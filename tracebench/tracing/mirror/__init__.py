"""The mirror: component times that a server copies into its reply."""

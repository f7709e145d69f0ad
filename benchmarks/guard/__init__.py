"""The project as it stands against an earlier commit, by turns: `make guard`."""

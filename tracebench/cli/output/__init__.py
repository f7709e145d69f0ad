"""Where results go: files, the terminal, the exit status."""

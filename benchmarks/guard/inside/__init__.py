"""What is measured inside a process of a side, where its command line does not tell it."""

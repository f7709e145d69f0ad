"""The command line: options in, plain arguments out."""

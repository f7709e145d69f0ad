"""What the command line tells of itself: help, completion, and what a gRPC server offers."""

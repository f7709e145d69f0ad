"""Which requests a piece of code works for, and what threads and forks forget of it."""

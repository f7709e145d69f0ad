"""Two servers by turns: how often a difference of nothing is shown, and one of 5 % found."""

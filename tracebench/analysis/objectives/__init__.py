"""What people decide by: limits of each request, objectives, gates, and a search for a load."""

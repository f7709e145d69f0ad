"""From a plan to exchanges that the engine can repeat: the libraries build them, and try them."""

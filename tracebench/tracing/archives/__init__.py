"""Reading files of spans, in whatever form users have them."""

"""Files of spans, in whatever form people have them."""

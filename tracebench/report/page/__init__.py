"""The page: one self-contained HTML file that explains a result, and needs no network."""

"""Reports: tables of values and estimates, figures, and the pages that hold them."""

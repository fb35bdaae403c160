"""What is asked of a document: parameters, and some rows of a table."""

"""What the page asks for, as plain JSON: one module a document, made of rows alike for the file and the server."""

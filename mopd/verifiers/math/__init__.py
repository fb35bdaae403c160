"""The verifier of mathematical answers: how they are read, and when two are equal."""

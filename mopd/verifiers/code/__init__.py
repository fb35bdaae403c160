"""The verifier of programs, and how tests of any origin are run in a sandbox."""

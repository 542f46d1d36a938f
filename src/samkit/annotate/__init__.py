"""The annotator: a server that keeps people's masks safe, on this very machine."""

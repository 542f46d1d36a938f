"""Evaluation by the paper's protocols, and the rules without a model that it has to beat."""

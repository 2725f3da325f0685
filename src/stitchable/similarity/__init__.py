"""How alike the features of two models are."""

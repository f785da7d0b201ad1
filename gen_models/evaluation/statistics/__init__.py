"""Functions of features, logits and pixels alone: no network, no model, no global state."""

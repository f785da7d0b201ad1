"""A package outside gen_models that brings a model, data, and choices of its own."""

"""gdist: train a PyTorch model on any number of workers, and get the same model."""

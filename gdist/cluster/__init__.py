"""A run on Ray: the only room that imports ray. The driver starts a controller, workers and a node agent; they pull orders."""

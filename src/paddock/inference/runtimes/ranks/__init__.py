"""A group of ranks as one Runtime, without a tensor library: the engine's side of several cards."""

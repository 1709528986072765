"""Networks and how they are trained: arrays and tensors in, arrays and tensors out."""

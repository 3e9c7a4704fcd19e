"""Write questions about scenes and clips, tokenize them and pack them for training."""

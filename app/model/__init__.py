"""Offer and change the model: its menu, what an opening needs, and the model on a lent GPU."""

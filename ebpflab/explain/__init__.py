"""Rejections explained: the catalogue, the chain of proof, witnesses."""

"""Rejections explained: the catalogue, the chain of proof, needed against known, and inputs that break a program."""

from .explanation import Explanation, explain

__all__ = ["Explanation", "explain"]

"""Rejections explained: the catalogue, the chain of proof, needed against known, and inputs that break a program."""

from .explanation import Explanation, explain
from .witness import NoWitness, Witness, witness

__all__ = ["Explanation", "NoWitness", "Witness", "explain", "witness"]

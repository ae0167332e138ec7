"""Rejections explained: the catalogue, the chain of proof, needed against known, and inputs that break a program."""

from .explanation import Explanation, explain
from .witness import NoWitness, Witness, challenge, witness

__all__ = ["Explanation", "NoWitness", "Witness", "challenge", "explain", "witness"]

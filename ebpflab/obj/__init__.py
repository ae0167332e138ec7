"""Compiled objects: BTF, ELF, CO-RE relocation, and compiling C."""

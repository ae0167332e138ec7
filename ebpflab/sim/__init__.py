"""The simulator: runs programs without a kernel, root or Linux."""

from .machine import BUDGET, Clock, Machine, Program, Result, Task

__all__ = ["BUDGET", "Clock", "Machine", "Program", "Result", "Task"]

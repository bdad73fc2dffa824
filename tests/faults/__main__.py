"""Runs the faults at full length and prints what was counted: `python -m tests.faults`, with pytest's options."""

import sys
from pathlib import Path

import pytest

sys.exit(
    pytest.main([str(Path(__file__).parent), "--full", "--numprocesses=0", "-p", "no:cacheprovider", *sys.argv[1:]])
)

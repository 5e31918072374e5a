"""The parts of the pytest plugin that a test sees: what it emitted, what it counted, whether its catalogue is fed.

They need no pytest, so tests of another framework can use them too. docs/testing.md is their manual.
"""

from .captured_events import CapturedEvents, capture_events
from .project_check import check_project
from .project_registry import project_registry
from .sample_value import SampleValue, UnknownSample

__all__ = ["CapturedEvents", "SampleValue", "UnknownSample", "capture_events", "check_project", "project_registry"]

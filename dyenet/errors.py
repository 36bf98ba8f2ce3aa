"""The errors a user can cause.

Each carries one sentence that says what was wrong, where, and what to do; the command line prints that
sentence and exits with status 2, without a traceback.
"""

from __future__ import annotations


class DyeNetError(Exception):
    """Base of every error a user can cause."""


class InputError(DyeNetError):
    """A video, mask, data set or output folder that cannot be used as given."""


class ConfigError(DyeNetError):
    """An unknown or contradictory config key or value."""


class WeightsError(DyeNetError):
    """A weights file that is missing, damaged or does not fit the model."""

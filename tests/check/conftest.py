"""In tests, an error in a check's own code is an error."""

from helpers.check import core

core.STRICT = True

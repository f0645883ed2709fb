"""Tests and lessons under test write into a folder of their own, never into the learner's work/."""

import os
import tempfile

from hypothesis import settings

settings.register_profile("course", deadline=None)  # a busy machine is no mistake
settings.load_profile("course")

# Small models: several threads on a busy machine only wait for each other. The lessons' kernels inherit this.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["COURSE_WORK"] = tempfile.mkdtemp(prefix="course-work-")

import os
import tempfile

# Tests and lessons under test write here, never into the learner's own work/ folder.
os.environ["COURSE_WORK"] = tempfile.mkdtemp(prefix="course-work-")
os.environ.setdefault("MPLBACKEND", "agg")

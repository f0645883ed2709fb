"""For who changes the course: lessons as files, their refresh, and a real JupyterLab in a real browser.

Learners need none of this. It wants the packages of the groups `test` and `browser` in pyproject.toml.
"""

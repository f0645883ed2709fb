"""What a teacher needs, built from the lessons: paths, guide, assignments, a folder to hand out, a hub.

These modules use `helpers`; nothing in `helpers` imports them, but for the commands in `helpers.course.COMMANDS`.
"""

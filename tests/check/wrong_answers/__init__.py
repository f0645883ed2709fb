"""Wrong answers to every exercise: one module an exercise, named like its check.

Each function is a wrong answer as a learner might write it; its docstring is a part of the message that must come.
Exercises whose answer is a value have a dict ANSWERS instead: wrong value to a part of the message.
"""

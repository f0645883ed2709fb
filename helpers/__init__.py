"""The helpers behind the lessons of "The Shape of a Batch".

Three floors, each importing only from floors below it:

1. ground: ``problems``, ``folders``, ``data``, ``models``, ``training`` (plain functions and records)
2. middle: ``figures`` (records in, a picture with its sentence out)
3. top: ``panels`` and ``check`` (ipywidgets and exercise checks), and the ``course`` command

Nothing is imported here, so that each module loads only what it needs itself.
"""

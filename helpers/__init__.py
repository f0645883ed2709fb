"""The helpers behind the lessons of "The Shape of a Batch".

Three floors, each importing only from floors below it:

1. ground, plain functions and records: ``problems``, ``folders``, ``environment``, ``units``, ``data``, ``originals``,
   ``models``, ``training``, ``batch``, ``layout``, ``shape_flow``, ``step_memory``, ``accumulate``,
   ``will_it_fit``, ``recorded``, ``memory``, ``processes``, ``split``, ``noise``, ``sharpness``, ``batch_size``,
   ``own_images``, ``capstone``, ``claims``, ``progress``
2. middle, records in and a picture with its sentence out: ``figures``
3. top, widgets, exercises and the command: ``panels``, ``check``, ``hand_in``, ``course``,
   ``authoring``

Public are the rooms that stand here: of a file every name without a leading underscore, of a folder the names that its
``__init__`` gathers. Nothing is imported here, so that each room loads only what it needs itself.
"""

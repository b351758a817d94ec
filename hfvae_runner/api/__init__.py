"""The Python face: load a run, encode and decode with it, train and sweep from a program or a notebook.

May import everything but `reproduce`. A function that users call is named in the package's ``__init__``, which imports
it when it is first used.
"""

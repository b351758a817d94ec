"""A run from its config to its results: assembled, trained, measured; one by itself, or a group trained as one program.

May import everything but `launch` and `report`. Of what a config names, the objects are made in `assembly`.
"""

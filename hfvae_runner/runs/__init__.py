"""Runs, from the config to the results: assembled, trained and measured, alone or in a group trained as one program.

May import everything but `launch` and `report`. `assembly` builds the objects that a config names.
"""

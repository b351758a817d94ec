"""Runs, from the config to the results: assembled, trained and measured, alone or in a group trained as one program.

May import everything but `launch` and `report`. `parts` builds what a config names, and
`assembly` a run of these parts.
"""

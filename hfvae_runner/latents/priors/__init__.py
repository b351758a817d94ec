"""The priors p(z), one per file, each with the function that conf/prior/NAME.yaml calls.

A function takes the options of its YAML file and, where its signature names them, ``n_classes``, ``n_factors`` and
``examples`` of the data set. It returns the ``Latents``. To add a prior, add a file to this folder.
"""

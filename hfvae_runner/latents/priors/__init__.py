"""The priors p(z), one per file, each with the function that conf/prior/NAME.yaml calls.

A function takes what its YAML says and, where its signature names them, ``n_classes`` and ``examples`` of the data
set; it returns the ``Latents``. A new prior is a file here.
"""

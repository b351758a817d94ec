"""Names, sections, schedules, penalties and checks of a config, before anything is built.

Imports only `errors`, and neither torch nor Hydra, so that a wrong value is refused at once. A new key goes into
`schema`, and a new type with a few names as values into `names`.
"""

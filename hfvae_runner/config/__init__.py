"""Names, sections, schedules, penalties and checks of a config, before anything is built.

Imports `errors` only, and neither torch nor Hydra: a wrong value is refused at once. A new key goes into `schema`, a
new one of few names into `names`.
"""

"""What an encoded representation is worth: one metric per file, each a pure function of plain arrays."""

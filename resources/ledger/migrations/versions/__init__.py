"""A file per version of the schema. Released ones are never changed: what is wrong in one is put right in the next."""

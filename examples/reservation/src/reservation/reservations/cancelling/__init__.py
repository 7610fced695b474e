"""A guest changes their mind: asked for first, carried out later, the nights free again."""

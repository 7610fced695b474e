"""Hand-written limits and peers: a change to their work or settings needs an ADR."""

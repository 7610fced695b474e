"""Who may do what: pure rules over principals and messages."""

"""How full each hotel is, night by night: a table of nights, made from events about stays."""

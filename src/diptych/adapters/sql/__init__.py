"""What SQL stores share: columns for Python types, and SQLAlchemy's view of them."""

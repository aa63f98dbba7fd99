"""Contact sheets and preview pages of covers."""

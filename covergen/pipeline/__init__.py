"""The stages plan, embed, paint and write: functions over iterators."""

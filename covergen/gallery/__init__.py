"""Covers laid out to be looked at: contact sheets and pages."""

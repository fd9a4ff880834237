"""Findings in sentences, charts and tables, for pages and reports."""

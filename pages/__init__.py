"""The pages: direct scripts with widgets and layout, no mathematics. What they share stands in pages/ui."""

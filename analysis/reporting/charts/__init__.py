"""Charts from contracts, in two languages and two themes. The only room that knows Plotly."""

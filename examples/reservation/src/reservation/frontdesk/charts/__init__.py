"""The charts: drawn as SVG on the server, labelled in HTML, so that text keeps its size."""

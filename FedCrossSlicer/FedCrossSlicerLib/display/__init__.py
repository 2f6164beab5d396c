"""How a result is displayed: heat map, colours, outlines, surface and the view settings."""

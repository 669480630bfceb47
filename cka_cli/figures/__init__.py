"""Figures beside the heat map: each module draws one, and imports what it draws from below."""

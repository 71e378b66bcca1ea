"""One model for many: an engine that decodes several replies at once, and the HTTP server around it."""

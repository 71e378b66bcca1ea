"""The chat app in the browser: conversations of several people with one loaded model."""

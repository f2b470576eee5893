"""PhotoPilot: how a network reads a camera's settings from a photograph."""

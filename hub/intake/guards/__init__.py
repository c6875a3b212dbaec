"""Whether sources are alive and whole: heartbeats, daily manifests, and alerts of silence and difference."""

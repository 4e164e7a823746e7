"""Talking to API servers: client, caches, work queue, conditions, events. Nothing here knows what ACK is."""

"""What the Helm chart is made of: its values, and copies of what the processes need. Its templates are in `charts/ackbox`.

`make generate` runs it; nothing here is used by a running ackbox.
"""

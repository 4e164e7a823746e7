"""What a local ackbox needs of the machine: its home, binaries, certificates and supervised processes.

Nothing here knows of ACK, ECS or SLB; nothing here imports `controlplane` or a product.
"""

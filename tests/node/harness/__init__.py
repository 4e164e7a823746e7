"""A real Kubernetes node in Linux namespaces of its own: control plane, containerd, kubelet and kube-proxy on this machine.

`python -m node.harness` is its command line. Everything runs in a network, mount and process namespace, so that nothing
of the machine's network is touched and one killed process ends it all:

- `layout`: names and addresses; `requirements`: what the machine must have
- `namespaces`: starts, enters and ends the namespaces; `inside`: what is set up in them before any program
- `cluster`: the control plane as supervised programs; `machine`: container runtime, kubelet and kube-proxy
- `images`: makes container images from ackbox's own binaries
- `node`: all of it together
"""

"""The data plane: Listeners and ServerGroups become Envoy's configuration, and their health becomes status.

caches → `controller` → `plan` (pure) → `envoy_config` (pure) → `ads` → Envoy; `servers` and `responder` stand in for
virtual Instances; `health` (pure) computes their health, `admin` reads that of real backends; `status` (pure) says how
it went. Nothing here creates load balancers, gives addresses to them, or looks into a workload cluster.
"""

"""What is scarce and handed out once: ids, vSwitch addresses, pod CIDRs, loopback addresses, quota."""

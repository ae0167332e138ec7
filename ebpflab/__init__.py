"""ebpflab: a lab for learning eBPF and doing research with it."""

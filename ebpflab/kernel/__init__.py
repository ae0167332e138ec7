"""Linux's bpf(2) and what belongs to it, with the standard library alone: it is also the agent inside a guest.

============  =====================================================================
``session``   everything below behind one object that speaks plain data
``syscall``   the structs of bpf(2), drawn, and the call
``explain``   errno to cause and remedy: capability, sysctl, lockdown, container
``features``  what this kernel can do, found by trying
``maps``      create, entries, whole maps as columns
``progs``     load with the whole log, test-run
``links``     attachments, one row a kind of hook
``ids``       what is in the kernel, whoever made it
``netns``     network namespaces held by a descriptor alone
``labnet``    two of them joined by a veth pair
``rtnetlink`` the little netlink that this needs
``traffic``   frames out of a device
``wire``      a session's calls as bytes; ``agent`` serves them
============  =====================================================================
"""

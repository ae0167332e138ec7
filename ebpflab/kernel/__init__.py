"""Linux's bpf(2) and what belongs to it, with the standard library alone: it is also the agent inside a guest.

============  =====================================================================
``session``   everything below behind one object that speaks plain data: maps and
              programs; ``lab_calls`` makes things happen, ``watch_calls`` looks
``syscall``   the structs of bpf(2), drawn, and the call
``explain``   errno to cause and remedy: capability, sysctl, lockdown, container
``features``  what this kernel can do, found by trying
``maps``      create, entries, whole maps as columns
``progs``     load with the whole log, test-run
``types``     BTF: the kernel's own, and what programs and maps bring
``links``     attachments: what a link is and what a kind of hook says of itself
``hooks/``    the kinds, one module a family
``perf``      perf events; ``rings`` reads what programs send
``symbols``   kernel addresses to names; ``elf_symbols`` places in files
``cgroups``   control groups of our own, commands in them; ``sockets``; ``xsk``
``pins``      names in a bpf file system
``guest``     is this kernel a guest of ours
``ids``       what is in the kernel, whoever made it
``netns``     network namespaces held by a descriptor alone
``labnet``    two of them joined by a veth pair
``rtnetlink`` the little netlink that this needs; ``netlink_tc`` traffic control
``traffic``   frames out of a device
``wire``      a session's calls as bytes; ``agent`` serves them
============  =====================================================================
"""

"""Virtual machines with a kernel of their own choosing: images, hypervisors, and the agent started in them."""

"""Workers on the machines of a Ray cluster, behind the same `Handle` as those on this one."""

"""Sampling: noise schedules, samplers as generators, and the noise each image owns.

``protocol`` is the contract, ``schedules`` and ``samplers`` are tables that need no torch, ``names`` reads the
names users and old image files write, ``seeds`` and ``noise`` give every image its own random numbers.
"""

"""The worker's side of the house: everything that touches torch, the models and the device.

A worker is a process of its own. It reads commands, draws, sends events, and can be killed and replaced at any moment:
it owns no file, no database row and no setting that would be missed.
"""

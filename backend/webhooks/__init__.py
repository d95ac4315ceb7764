"""Webhooks: programs elsewhere are told how a job ended, as https://www.standardwebhooks.com describes.

    address.py      where may be told: what the operator allows, names and resolved addresses
    signature.py    the headers by which a receiver knows the sender
    sending.py      one attempt
    delivery.py     all of them, again after failures
"""

"""Who may speak to the broker: the book of accounts, and the one writer of Mosquitto's passwords and access list.

Gateways and rooms show certificates, so only their rights are written here. Teams of hamlets have accounts with
passwords, one for each telephone. Another kind of account is a row of `mosquitto.RIGHTS` and a way to make one.
"""

"""A file of settings → structs, and in two languages what is wrong with it: what devices.toml and cloud.toml share.

Beneath edge and cloud, beside `wire`. What a table may hold is said by the structs of each side; what people are told
is data: the sentences that both need are in words.toml here, those of one side in a words.toml of its own.
"""

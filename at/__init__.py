"""What is said to a modem and what it answers, as pure functions: AT answers, SMS messages, telephone numbers.

Both sides have modems: a gateway asks one for coverage, the server tells people by one. What a maker's modem alone says
is at the edge (`edge/framing/at_<vendor>.py`).
"""

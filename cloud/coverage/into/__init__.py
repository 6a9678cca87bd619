"""Ways in: what others say of the network, clean of every identity before it is anything of ours."""

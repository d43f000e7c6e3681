"""What members really get: resolvers, senders and faults in virtual time, over the daemon's own code for answers.

answers: what a client sees of an answer, from the rings that workers go round. authorities: who gives them: dnslb, or
another DNS balancer to compare with. draws: random numbers. resolvers: how large they are, and what they do to the
order of records. senders: whom a message goes to. faults: when a member is down, and when the answers know it. traffic:
one run. figures: many of them, and how far they are from what is wanted.

No I/O and no clock; randomness comes as a seeded `random.Random`.
"""

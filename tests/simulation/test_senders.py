"""Whom a message goes to, by the rules of each program."""

from collections import Counter
from random import Random

import pytest

from dnslb.simulation.answers import Answer, Record
from dnslb.simulation.resolvers import Resolver
from dnslb.simulation.senders import MANNERS, Sender, firsts, order

_ADDRESSES = Answer(tuple(Record(name) for name in ("mx1", "mx2", "mx2", "mx3")))
_EQUAL = Answer((Record("mx1", 10, 0, 1), Record("mx2", 10, 0, 3), Record("spare", 20)))
_RANKED = Answer((Record("mx1", 20), Record("mx2", 10, 0, 2), Record("mx3", 30)))
_SRV = Answer((Record("mx1", 1, 5), Record("mx2", 1, 3), Record("mx3", 2, 9)))


@pytest.mark.parametrize("sender", Sender)
@pytest.mark.parametrize("resolver", Resolver)
@pytest.mark.parametrize("answer", [_ADDRESSES, _EQUAL, _RANKED, _SRV], ids=["address", "equal", "ranked", "srv"])
def test_the_chance_to_be_first_is_that_of_the_orders(sender: Sender, resolver: Resolver, answer: Answer) -> None:
    """What is worked out once for many messages is what single messages would do."""
    random, manners = Random(1), MANNERS[sender]
    draws = 3000
    seen = Counter(order(answer, manners, resolver, random)[0] for _ in range(draws))
    expected = firsts(answer, manners, resolver)
    assert set(seen) <= set(expected)
    assert {name: seen[name] / draws for name in expected} == pytest.approx(expected, abs=0.05)


def test_equal_preferences_are_shared_by_addresses_or_by_names() -> None:
    """Postfix shuffles all addresses, so that three of them bring three times the mail; Exim shuffles the names."""
    assert firsts(_EQUAL, MANNERS[Sender.POSTFIX], Resolver.UNBOUND) == {"mx1": 0.25, "mx2": 0.75}
    assert firsts(_EQUAL, MANNERS[Sender.EXIM], Resolver.UNBOUND) == {"mx1": 0.5, "mx2": 0.5}


def test_a_rotation_favours_who_stands_behind_worse_ones() -> None:
    """OpenSMTPD takes the first of the best: of three rotations, two begin with mx1 or lead to it past the spare."""
    assert firsts(_EQUAL, MANNERS[Sender.OPENSMTPD], Resolver.UNBOUND) == pytest.approx({"mx1": 2 / 3, "mx2": 1 / 3})
    assert firsts(_EQUAL, MANNERS[Sender.OPENSMTPD], Resolver.BIND) == {"mx1": 0.5, "mx2": 0.5}


@pytest.mark.parametrize("sender", [Sender.POSTFIX, Sender.EXIM, Sender.OPENSMTPD])
def test_preferences_are_obeyed(sender: Sender) -> None:
    """Better ones first, whatever the resolver does to the order, and all addresses of each."""
    for seed in range(20):
        assert order(_RANKED, MANNERS[sender], Resolver.BIND, Random(seed)) == ["mx2", "mx2", "mx1", "mx3"]


def test_nobody_tries_more_addresses_than_it_does() -> None:
    """Five with Postfix and Exim, one with JavaMail, all with others."""
    many = Answer(tuple(Record(f"mx{number}") for number in range(9)))
    tried = {sender: len(order(many, MANNERS[sender], Resolver.UNBOUND, Random(1))) for sender in Sender}
    assert tried == {
        Sender.POSTFIX: 5,
        Sender.EXIM: 5,
        Sender.OPENSMTPD: 9,
        Sender.FIRST: 9,
        Sender.JAVA: 1,
    }

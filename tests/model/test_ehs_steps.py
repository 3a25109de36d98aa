"""The state table of the handshake is complete: each state is listed, leads to DONE and is reachable."""

from collections.abc import Iterator

import pytest

from ergo_conformance.model.ergo import ehs
from ergo_conformance.model.ergo.ehs import FIRST_STATE, STEPS, Digest, HandshakeState, Role

DIALER_STATES = {
    HandshakeState.HELLO_SENT,
    HandshakeState.INTRODUCED,
    HandshakeState.ACCEPTED,
    HandshakeState.JOIN_SENT,
    HandshakeState.DONE,
}
ACCEPTOR_STATES = {
    HandshakeState.AWAIT_HELLO,
    HandshakeState.HELLO_ANSWERED,
    HandshakeState.AWAIT_ACCEPT,
    HandshakeState.DONE,
}
FIRST = {Role.DIALER: {FIRST_STATE[Role.DIALER], HandshakeState.JOIN_SENT}, Role.ACCEPTOR: {FIRST_STATE[Role.ACCEPTOR]}}
MESSAGES = {row.value_class for row in ehs.MESSAGES}


def after(role: Role, state: HandshakeState) -> Iterator[HandshakeState]:
    return (step.then for step in STEPS[role, state].values())


def reachable(role: Role, start: set[HandshakeState]) -> set[HandshakeState]:
    found, todo = set(start), list(start)
    while todo:
        new = {*after(role, todo.pop())} - found
        found |= new
        todo += new
    return found


def test_each_state_of_each_role_is_listed() -> None:
    expected = {(Role.DIALER, s) for s in DIALER_STATES} | {(Role.ACCEPTOR, s) for s in ACCEPTOR_STATES}
    assert STEPS.keys() == expected
    assert {*HandshakeState} == DIALER_STATES | ACCEPTOR_STATES


@pytest.mark.parametrize("key", STEPS, ids=lambda key: f"{key[0].value}-{key[1].name}")
def test_each_state_leads_to_done(key: tuple[Role, HandshakeState]) -> None:
    role, state = key
    assert HandshakeState.DONE in reachable(role, {state})
    assert (STEPS[key] == {}) == (state is HandshakeState.DONE)
    assert state not in reachable(role, {*after(role, state)})  # no cycle: every handshake ends


@pytest.mark.parametrize("role", Role)
def test_each_state_is_reachable(role: Role) -> None:
    assert reachable(role, FIRST[role]) == {state for r, state in STEPS if r is role}


def test_each_message_is_expected_by_a_state_of_the_other_role() -> None:
    for role in Role:
        expected = {message for (r, _), row in STEPS.items() if r is role for message in row}
        assert expected <= MESSAGES
        assert expected == (MESSAGES - {ehs.Join} if role is Role.DIALER else MESSAGES)


def test_each_step_has_a_distinct_effect() -> None:
    effects = [step.effect for row in STEPS.values() for step in row.values()]
    assert len(effects) == len(set(effects))
    assert all(effect.isidentifier() for effect in effects)


def test_the_node_has_every_effect() -> None:
    from ergo_conformance.reference_node.ergo.ehs import EhsSession

    effects = {step.effect for row in STEPS.values() for step in row.values()}
    assert {
        effect for effect in effects if not any(hasattr(EhsSession, name) for name in (effect, f"_{effect}"))
    } == set()


def test_role_other_is_the_opposite_role() -> None:
    assert [role.other for role in Role] == [Role.ACCEPTOR, Role.DIALER]
    assert all(role.other.other is role for role in Role)


def test_each_digest_has_a_distinct_requirement() -> None:
    from ergo_conformance.spec.requirements import catalogue

    ids = [rule.requirement for rule in Digest]
    assert len(ids) == len(set(ids))
    assert set(ids) <= catalogue().keys()
    assert [rule for rule in Digest if rule.fingerprint] == [Digest.HELLO_CERT, Digest.JOIN_CERT]


def test_the_flags_are_one_bit_each_and_the_default_is_0x67() -> None:
    assert [int(flag) for flag in ehs.Flags] == [1 << i for i in range(7)]
    assert int(ehs.DEFAULT_FLAGS) == 0x67
    assert sum(ehs.Flags) < ehs.NEWEST_FLAGS

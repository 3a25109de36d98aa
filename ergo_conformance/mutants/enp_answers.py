"""Faults in answers and acknowledgements, in the pool, and in what a node keeps for its peers."""

from dataclasses import replace
from typing import Any

from ..model.ergo import ehs, enp
from ..model.ergo.enp import Control, Words
from ..model.values import PID, Atom, Error, Ref
from ..reference_node.api import Connection, Core
from ..reference_node.api.handshake import PeerInfo
from ..reference_node.api.messages import Call, MessageOptions
from ..reference_node.core.core import NodeCore
from ..reference_node.core.outgoing import Outgoing
from ..reference_node.core.pending import PendingRequests
from ..reference_node.ergo.enp.connection import EnpConnection
from ..reference_node.ergo.enp.control import ControlMessages
from .mutant import Area

ANSWERS = Area("answers")
CALLS, IMPORTANT, CONTROL, POOL = "proto.calls", "proto.important", "proto.control", "proto.pool"
CALLING, REPLIES, SECOND, ROBUSTNESS = "node.calling", "node.answers", "proto.second_use", "proto.robustness"
PLAIN = MessageOptions()

# --- answers ----------------------------------------------------------------------------------------------------------


@ANSWERS.fault("ENP-REQ-1", found_by=(f"{CALLS}.many_callers", f"{CALLS}.same_reference_of_two_callers"), subtle=True)
class AnswerToPreviousCaller(EnpConnection):
    """Sends an answer to the caller before."""

    _previous: PID | None = None

    def send_response(self, sender: PID, to: PID, ref: Ref, options: MessageOptions, response: Any) -> None:
        previous, self._previous = self._previous or to, to
        super().send_response(sender, previous, ref, options, response)


@ANSWERS.fault(
    "ENP-IMP-2", found_by=(f"{IMPORTANT}.same_id_of_two_senders", f"{IMPORTANT}.thousand_at_once[*]"), subtle=True
)
class AckToPreviousSender(EnpConnection):
    """Sends an acknowledgement to the sender of the important message before."""

    _previous: int | None = None

    def _acknowledge(self, frame: Any, id_: int, error: Error | None) -> None:
        previous = frame.from_id if self._previous is None else self._previous
        self._previous = frame.from_id
        super()._acknowledge(frame._replace(from_id=previous), id_, error)


@ANSWERS.fault("ENP-REQ-1", found_by=(f"{SECOND}.reference",), subtle=True)
class ReferenceAnsweredOnce(EnpConnection):
    """Does not answer a call whose reference its caller has used before."""

    def __init__(self, peer: PeerInfo, core: Core) -> None:
        super().__init__(peer, core)
        self._answered: set[tuple[PID, Words]] = set()

    def send_response(self, sender: PID, to: PID, ref: Ref, options: MessageOptions, response: Any) -> None:
        if (to, ref.id) not in self._answered:
            self._answered.add((to, ref.id))
            super().send_response(sender, to, ref, options, response)


@ANSWERS.fault("ENP-IMP-2", found_by=(f"{SECOND}.message_id",), subtle=True)
class MessageIdAcknowledgedOnce(EnpConnection):
    """Does not acknowledge a message id that its sender has used before."""

    def __init__(self, peer: PeerInfo, core: Core) -> None:
        super().__init__(peer, core)
        self._acknowledged: set[tuple[int, int]] = set()

    def _acknowledge(self, frame: Any, id_: int, error: Error | None) -> None:
        if (frame.from_id, frame.mid) not in self._acknowledged:
            self._acknowledged.add((frame.from_id, frame.mid))
            super()._acknowledge(frame, id_, error)


@ANSWERS.fault(
    "ENP-REQ-1",
    found_by=(f"{CALLS}.same_reference_of_two_nodes", "proto.names.similar_node_names"),
    subtle=True,
)
class AnswersNewestPeer(Outgoing):
    """Sends every answer to the node that connected last."""

    def _connection_of(self, call: Call) -> Connection | None:
        return next(reversed(list(self._peers.connections.values())), None)


@ANSWERS.fault("ENP-REQ-1", "ENP-DLV-2", found_by=(f"{SECOND}.answer_for_an_earlier_incarnation",), subtle=True)
class AnswerToNextIncarnation(Outgoing):
    """Sends an answer for a process of a node's earlier incarnation to the restarted node."""

    def _connection_of(self, call: Call) -> Connection | None:
        return self._peers.connections.get(call.sender.node)


@ANSWERS.fault(
    "ENP-REQ-7",
    "ENP-REQ-3",
    "ENP-IMP-2",
    found_by=(f"{REPLIES}.answer_of_another_node", f"{REPLIES}.acknowledgement_of_another_node"),
    subtle=True,
)
class AnswerOfAnyNode(NodeCore):
    """Takes an answer of any node for the answer of the called one."""

    def _of(self, words: Words, node: Atom) -> Atom:
        return next((each for each, requests in self.pending._by_node.items() if words in requests), node)

    def route_send_response(self, node: Atom, to_id: int, words: Words, response: Any) -> bool:
        return super().route_send_response(self._of(words, node), to_id, words, response)

    def route_send_response_error(self, node: Atom, to_id: int, words: Words, error: Error) -> bool:
        return super().route_send_response_error(self._of(words, node), to_id, words, error)


@ANSWERS.fault(
    "ENP-REQ-7", "ENP-REQ-3", found_by=(f"{CALLING}.second_answer", f"{CALLING}.call_times_out"), subtle=True
)
class SurplusAnswerKept(PendingRequests):
    """Takes an answer that no caller waits for as the answer to the next call."""

    _kept: Any = None

    def answer(self, node: Atom, process_id: int, words: Words, value: Any) -> bool:
        taken = super().answer(node, process_id, words, value)
        self._kept = None if taken else value
        return taken

    async def wait(self, node: Atom, words: Words, process_id: int, timeout: float, begin: Any) -> Any:
        kept, self._kept = self._kept, None
        if kept is None:
            return await super().wait(node, words, process_id, timeout, begin)
        begin()
        return kept


@ANSWERS.fault("ENP-REQ-7", found_by=(f"{CALLING}.wrong_reference",))
class AnswerWithAnyReference(PendingRequests):
    """Takes any answer for a process for the answer to its last call."""

    def answer(self, node: Atom, process_id: int, words: Words, value: Any) -> bool:
        pending = [each for each, (owner, _) in self._by_node.get(node, {}).items() if owner == process_id]
        return super().answer(node, process_id, pending[-1] if pending else words, value)


@ANSWERS.fault("ENP-REQ-7", found_by=(f"{CALLING}.call_times_out", f"{CALLING}.down_while_waiting"))
class CallNeverTimesOut(PendingRequests):
    """Waits for an answer for a day, also after the connection has ended."""

    async def wait(self, node: Atom, words: Words, process_id: int, timeout: float, begin: Any) -> Any:
        return await super().wait(node, words, process_id, 86_400.0, begin)

    def fail_all(self, node: Atom, error: Error) -> None:
        """Fails nothing."""


@ANSWERS.fault("ENP-REQ-1", "ROB-ENP-3", found_by=(f"{SECOND}.others_while_one_leaves",), subtle=True)
class AllCallsFailWithOneNode(NodeCore):
    """Forgets the callers of all nodes when one node is disconnected."""

    def node_down(self, node: Atom) -> None:
        super().node_down(node)
        for process in self.tables.processes.values():
            process.cancel()


# --- important delivery -----------------------------------------------------------------------------------------------


@ANSWERS.fault(
    "ENP-IMP-6",
    "ENP-SPAWN-3",
    found_by=(
        f"{IMPORTANT}.target_without_the_flag",
        "node.spawn.target_without_the_flag",
        "node.applications.target_without_the_flag",
    ),
)
class OwnFlagsIgnored(EnpConnection):
    """Acknowledges, spawns and starts applications although its flags exclude it."""

    def __init__(self, peer: PeerInfo, core: Core) -> None:
        super().__init__(replace(peer, local=replace(peer.local, flags=ehs.DEFAULT_FLAGS)), core)


@ANSWERS.fault("ENP-IMP-2", found_by=(f"{IMPORTANT}.priority_of_an_acknowledgement[*]",))
class AckWithImportantBit(EnpConnection):
    """Acknowledges with the important bit of the message."""

    def _answer_error(
        self, sender_id: int, to_id: int, ref: Words, priority: int, order: int, error: Error | None
    ) -> None:
        super()._answer_error(sender_id, to_id, ref, priority | enp.IMPORTANT, order, error)


@ANSWERS.fault(
    "ENP-IMP-2",
    found_by=(f"{IMPORTANT}.priority_of_an_acknowledgement[high]", f"{IMPORTANT}.priority_of_an_acknowledgement[max]"),
)
class AckWithNormalPriority(EnpConnection):
    """Acknowledges with normal priority."""

    def _answer_error(
        self, sender_id: int, to_id: int, ref: Words, priority: int, order: int, error: Error | None
    ) -> None:
        super()._answer_error(sender_id, to_id, ref, 0, order, error)


@ANSWERS.fault("ENP-IMP-4", found_by=(f"{IMPORTANT}.request[*]",))
class DeliveredRequestAcknowledged(EnpConnection):
    """Acknowledges an important request that it has delivered."""

    def _fail(self, frame: Any, id_: int, error: Error | None) -> None:
        super()._fail(frame, id_, error)
        if error is None and frame.priority & enp.IMPORTANT:
            self._answer_error(id_, frame.from_id, frame.ref, 0, 0, None)


@ANSWERS.fault(
    "ENP-IMP-4",
    found_by=(
        f"{IMPORTANT}.request_of_nobody[*]",
        f"{IMPORTANT}.request_to_a_full_mailbox",
        "proto.compression.important_request",
    ),
)
class UndeliverableRequestUnanswered(EnpConnection):
    """Does not answer an important request that it cannot deliver."""

    def _fail(self, frame: Any, id_: int, error: Error | None) -> None:
        """Sends nothing."""


@ANSWERS.fault("ENP-IMP-6", "ENP-IMP-2", found_by=(f"{IMPORTANT}.sender_without_the_flag",))
class AckDependsOnSenderFlags(EnpConnection):
    """Acknowledges only to peers that announced important delivery themselves."""

    def _acknowledge(self, frame: Any, id_: int, error: Error | None) -> None:
        if ehs.Flags.IMPORTANT_DELIVERY in self.peer.flags:
            super()._acknowledge(frame, id_, error)


# --- control messages -------------------------------------------------------------------------------------------------


@ANSWERS.fault("ENP-ANY-1", found_by=(f"{CONTROL}.one_result[*]",))
class ResultTwice(ControlMessages):
    """Sends each Result twice."""

    def _answer(self, ref: Ref, error: Error | None, result: Any, requester_id: int, owner_id: int) -> None:
        for _ in range(2):
            super()._answer(ref, error, result, requester_id, owner_id)


@ANSWERS.fault("ENP-ANY-1", found_by=(f"{CONTROL}.reference", f"{CONTROL}.many_at_once"), subtle=True)
class ResultWithPreviousReference(ControlMessages):
    """Sends a Result with the reference of the request before."""

    _previous: Ref | None = None

    def _answer(self, ref: Ref, error: Error | None, result: Any, requester_id: int, owner_id: int) -> None:
        previous, self._previous = self._previous or ref, ref
        super()._answer(previous, error, result, requester_id, owner_id)


@ANSWERS.fault("ENP-ANY-2", "ENP-C-Result", found_by=(f"{CONTROL}.result_nobody_waits_for",))
class ResultAnswered(ControlMessages):
    """Answers a Result with a Result."""

    def handle(self, frame: Control) -> None:
        super().handle(frame)
        if isinstance(frame.message, enp.Result):
            self._answer(frame.message.Ref, None, None, 0, 0)


@ANSWERS.fault(
    "ENP-LINK-1",
    "ENP-APP-1",
    "ENP-SPAWN-1",
    found_by=("node.watching.refused[*]", "node.applications.our_refusal", "node.spawn.our_refusal"),
)
class ErrorInAResultIgnored(ControlMessages):
    """Ignores the error in a Result."""

    def handle(self, frame: Control) -> None:
        message = frame.message
        if isinstance(message, enp.Result):
            frame = frame._replace(message=message._replace(Error=None))
        super().handle(frame)

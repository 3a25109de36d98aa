"""Tables of a node's processes by PID, name and alias."""

from ...model.ergo import enp, error_values
from ...model.ergo.enp import Priority, Words
from ...model.values import PID, Alias, Atom, Error, ProcessID, Ref
from ..api.messages import Envelope, ProcessAddress
from ..incarnation import FIRST_ID
from .process import Process

CORE_ID = 1
"""Number of the node's own PID."""
_ALIAS_SHIFT = 46
"""The second word of an alias is the counter shifted by this, as upstream does (ENP-ORD-5)."""


class ProcessTable:
    """The processes of one node, their names and aliases, and the numbers of new ones."""

    def __init__(self, name: Atom, creation: int, unique: int, first_id: int = FIRST_ID) -> None:
        """`unique`: the first value of the counter of references and aliases; `first_id`: the number of the first process."""
        self.name = name
        self.creation = creation
        self.pid = PID(name, CORE_ID, creation)
        self.processes: dict[int, Process] = {}
        self.names: dict[Atom, Process] = {}
        self.aliases: dict[Words, Process] = {}
        self._unique = unique
        self._last_id = first_id - 1

    @staticmethod
    def deliver(process: Process | None, envelope: Envelope, priority: Priority) -> Error | None:
        """Puts an envelope into the mailbox of a process. Returns the error, or None."""
        if process is None:
            return error_values.PROCESS_UNKNOWN
        if process.reason is not None:
            return error_values.PROCESS_TERMINATED
        return None if process.mailbox.put(envelope, priority) else error_values.MAILBOX_FULL

    def deliver_to(self, address: ProcessAddress, envelope: Envelope, priority: Priority) -> Error | None:
        """Puts an envelope into the mailbox of the process with this address. Returns the error, or None."""
        if isinstance(address, ProcessID):
            return self.deliver(self.names.get(address.name), envelope, priority)
        if address.creation != self.creation:
            return error_values.PROCESS_INCARNATION
        if isinstance(address, PID):
            return self.deliver(self.processes.get(address.id), envelope, priority)
        return self.deliver(self.aliases.get(address.id), envelope, priority)

    def new_pid(self, number: int | None = None) -> PID:
        """Returns the PID of a new process. `number`: an unused one; by default the next free one."""
        if number is None:
            number = self._last_id + 1
            number += not number % enp.ORDER_MODULUS  # such a number has order slot 0, which is unordered (ENP-ORD-5)
        self._last_id = max(self._last_id, number)
        return PID(self.name, number, self.creation)

    def new_alias(self) -> Alias:
        """Returns an unused alias."""
        n = self.next_unique()
        return Alias(self.name, self.creation, (n, n >> _ALIAS_SHIFT, 0))

    def make_ref(self) -> Ref:
        """Returns an unused reference with the whole counter (upstream drops bits, ENP-REQ-2)."""
        return Ref(self.name, self.creation, (self.next_unique(), 0, 0))

    def next_unique(self) -> int:
        """Returns the next value of the counter of references, aliases and important messages."""
        self._unique += 1
        return self._unique

"""ENP R1, the Ergo network protocol: frames and their fields, priorities, codes, compression, control messages, limits.

Frames follow each other on every socket of a connection.  A frame is a header of eight bytes, fields of fixed layout, and
for most types one EDF value up to its end.  Frames carry no node name and no creation: the sender is the peer of the
connection, in its incarnation; the target is on the node that reads.

Sources: net/proto/{types,connection,enp}.go, gen/{node,process}.go, release 3.1.
"""

# One namespace of several modules. Star imports, so that a new frame needs no line here.
from .compression import *  # noqa: F403
from .control import *  # noqa: F403
from .fields import *  # noqa: F403
from .frames import *  # noqa: F403
from .limits import *  # noqa: F403

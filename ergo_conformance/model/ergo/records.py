"""Table of all types that the framework registers, in the order of 3.1, which determines their cache ids.

Sources: gen/, net/edf/init.go, net/{handshake,proto,registrar}/types.go, app/system/, release 3.1.
"""

from typing import Final

from ..payloads import Ignored
from ..registry import Marshaler, Newtype, Registry, Row, Struct
from ..types import (  # fmt: skip
    ALIAS,
    ANY,
    ATOM,
    BOOL,
    ERROR,
    EVENT,
    INT,
    INT32,
    INT64,
    PID,
    PROCESS_ID,
    STRING,
    TIME,
    UINT16,
    UINT64,
    Map,
    Reg,
    Slice,
    Type,
)
from . import ehs, enp, error_values, esrd, gen, saturn
from .edf import FRAMEWORK


def _struct(name: str, **fields: Type) -> Struct:
    return Struct(FRAMEWORK + name, tuple(fields.items()))


def _reg(name: str) -> Reg:
    return Reg(FRAMEWORK + name)


# fmt: off
ROWS: Final[tuple[Row, ...]] = (
    # gen
    Newtype(FRAMEWORK + "gen/Env", STRING),
    Newtype(FRAMEWORK + "gen/LogLevel", INT),
    Newtype(FRAMEWORK + "gen/ProcessState", INT32),
    Newtype(FRAMEWORK + "gen/MetaState", INT32),
    Newtype(FRAMEWORK + "gen/NetworkMode", INT),
    Newtype(FRAMEWORK + "gen/MessagePriority", INT),
    Newtype(FRAMEWORK + "gen/CompressionType", STRING),
    Newtype(FRAMEWORK + "gen/CompressionLevel", INT),
    Newtype(FRAMEWORK + "gen/ApplicationMode", INT),
    Newtype(FRAMEWORK + "gen/ApplicationState", INT32),
    ehs.VERSION_ROW,
    _struct("gen/ApplicationDepends", Applications=Slice(ATOM), Network=BOOL),
    _struct("gen/LoggerInfo", Name=STRING, Behavior=STRING, Levels=Slice(_reg("gen/LogLevel"))),
    gen.PROCESS_FALLBACK,
    _struct("gen/CronJobInfo", Disabled=BOOL, Name=ATOM, Spec=STRING, Location=STRING, ActionInfo=STRING,
        LastRun=TIME, LastErr=STRING, Fallback=_reg("gen/ProcessFallback")),
    _struct("gen/CronInfo", Next=TIME, Spool=Slice(ATOM), Jobs=Slice(_reg("gen/CronJobInfo"))),
    _struct("gen/CronSchedule", Time=TIME, Jobs=Slice(ATOM)),
    _struct("gen/NodeInfo", Name=ATOM, Uptime=INT64, Version=_reg("gen/Version"), Framework=_reg("gen/Version"),
        Commercial=Slice(_reg("gen/Version")), Env=Map(_reg("gen/Env"), ANY), LogLevel=_reg("gen/LogLevel"),
        Loggers=Slice(_reg("gen/LoggerInfo")), Cron=_reg("gen/CronInfo"), ProcessesTotal=INT64,
        ProcessesRunning=INT64, ProcessesZombee=INT64, RegisteredAliases=INT64, RegisteredNames=INT64,
        RegisteredEvents=INT64, ApplicationsTotal=INT64, ApplicationsRunning=INT64, MemoryUsed=UINT64,
        MemoryAlloc=UINT64, UserTime=INT64, SystemTime=INT64),
    gen.COMPRESSION,
    _struct("gen/MailboxQueues", Main=INT64, System=INT64, Urgent=INT64, Log=INT64),
    _struct("gen/ProcessInfo", PID=PID, Name=ATOM, Application=ATOM, Behavior=STRING, MailboxSize=INT64,
        MailboxQueues=_reg("gen/MailboxQueues"), MessagesIn=UINT64, MessagesOut=UINT64, RunningTime=UINT64,
        Compression=_reg("gen/Compression"), MessagePriority=_reg("gen/MessagePriority"), Uptime=INT64,
        State=_reg("gen/ProcessState"), Parent=PID, Leader=PID, Fallback=_reg("gen/ProcessFallback"),
        Env=Map(_reg("gen/Env"), ANY), Aliases=Slice(ALIAS), Events=Slice(ATOM), Metas=Slice(ALIAS),
        MonitorsPID=Slice(PID), MonitorsProcessID=Slice(PROCESS_ID), MonitorsAlias=Slice(ALIAS),
        MonitorsEvent=Slice(EVENT), MonitorsNode=Slice(ATOM), LinksPID=Slice(PID), LinksProcessID=Slice(PROCESS_ID),
        LinksAlias=Slice(ALIAS), LinksEvent=Slice(EVENT), LinksNode=Slice(ATOM), LogLevel=_reg("gen/LogLevel"),
        KeepNetworkOrder=BOOL, ImportantDelivery=BOOL),
    _struct("gen/ProcessShortInfo", PID=PID, Name=ATOM, Application=ATOM, Behavior=STRING, MessagesIn=UINT64,
        MessagesOut=UINT64, MessagesMailbox=UINT64, RunningTime=UINT64, Uptime=INT64, State=_reg("gen/ProcessState"),
        Parent=PID, Leader=PID, LogLevel=_reg("gen/LogLevel")),
    gen.PROCESS_OPTIONS,
    gen.PROCESS_OPTIONS_EXTRA,
    gen.APPLICATION_OPTIONS,
    gen.APPLICATION_OPTIONS_EXTRA,
    _struct("gen/ApplicationInfo", Name=ATOM, Weight=INT, Description=STRING, Version=_reg("gen/Version"),
        Env=Map(_reg("gen/Env"), ANY), Depends=_reg("gen/ApplicationDepends"), Mode=_reg("gen/ApplicationMode"),
        State=_reg("gen/ApplicationState"), Parent=ATOM, Uptime=INT64, Group=Slice(PID)),
    _struct("gen/MetaInfo", ID=ALIAS, Parent=PID, Application=ATOM, Behavior=STRING, MailboxSize=INT64,
        MailboxQueues=_reg("gen/MailboxQueues"), MessagePriority=_reg("gen/MessagePriority"), MessagesIn=UINT64,
        MessagesOut=UINT64, LogLevel=_reg("gen/LogLevel"), Uptime=INT64, State=_reg("gen/MetaState")),
    ehs.NETWORK_FLAGS,
    Marshaler(FRAMEWORK + "gen/NetworkProxyFlags", Ignored()),
    _struct("gen/NetworkSpawnInfo", Name=ATOM, Behavior=STRING, Nodes=Slice(ATOM)),
    _struct("gen/NetworkApplicationStartInfo", Name=ATOM, Nodes=Slice(ATOM)),
    _struct("gen/RemoteNodeInfo", Node=ATOM, Uptime=INT64, ConnectionUptime=INT64, Version=_reg("gen/Version"),
        HandshakeVersion=_reg("gen/Version"), ProtoVersion=_reg("gen/Version"), NetworkFlags=_reg("gen/NetworkFlags"),
        PoolSize=INT, PoolDSN=Slice(STRING), MaxMessageSize=INT, MessagesIn=UINT64, MessagesOut=UINT64,
        BytesIn=UINT64, BytesOut=UINT64, TransitBytesIn=UINT64, TransitBytesOut=UINT64),
    _struct("gen/RouteInfo", Match=STRING, Weight=INT, UseResolver=BOOL, UseCustomCookie=BOOL, UseCustomCert=BOOL,
        Flags=_reg("gen/NetworkFlags"), HandshakeVersion=_reg("gen/Version"), ProtoVersion=_reg("gen/Version"),
        Host=STRING, Port=UINT16),
    _struct("gen/ProxyRouteInfo", Match=STRING, Weight=INT, UseResolver=BOOL, UseCustomCookie=BOOL,
        Flags=_reg("gen/NetworkProxyFlags"), MaxHop=INT, Proxy=ATOM),
    esrd.ROUTE,
    saturn.APPLICATION_ROUTE,
    saturn.PROXY_ROUTE,
    saturn.ANNOUNCED_ROUTES,
    _struct("gen/RegistrarInfo", Server=STRING, EmbeddedServer=BOOL, SupportRegisterProxy=BOOL,
        SupportRegisterApplication=BOOL, SupportConfig=BOOL, SupportEvent=BOOL, Version=_reg("gen/Version")),
    _struct("gen/AcceptorInfo", Interface=STRING, MaxMessageSize=INT, Flags=_reg("gen/NetworkFlags"), TLS=BOOL,
        CustomRegistrar=BOOL, RegistrarServer=STRING, RegistrarVersion=_reg("gen/Version"),
        HandshakeVersion=_reg("gen/Version"), ProtoVersion=_reg("gen/Version")),
    _struct("gen/NetworkInfo", Mode=_reg("gen/NetworkMode"), Registrar=_reg("gen/RegistrarInfo"),
        Acceptors=Slice(_reg("gen/AcceptorInfo")), MaxMessageSize=INT, HandshakeVersion=_reg("gen/Version"),
        ProtoVersion=_reg("gen/Version"), Nodes=Slice(ATOM), Routes=Slice(_reg("gen/RouteInfo")),
        ProxyRoutes=Slice(_reg("gen/ProxyRouteInfo")), Flags=_reg("gen/NetworkFlags"),
        EnabledSpawn=Slice(_reg("gen/NetworkSpawnInfo")),
        EnabledApplicationStart=Slice(_reg("gen/NetworkApplicationStartInfo"))),
    gen.MESSAGE_EVENT,
    gen.MESSAGE_EVENT_START,
    gen.MESSAGE_EVENT_STOP,
    # app/system/inspect
    _struct("app/system/inspect/RequestInspectNode"),
    _struct("app/system/inspect/ResponseInspectNode", CRC32=STRING, Event=EVENT, OS=STRING, Arch=STRING, Cores=INT,
        Version=_reg("gen/Version"), Creation=INT64),
    _struct("app/system/inspect/MessageInspectNode", Node=ATOM, Info=_reg("gen/NodeInfo")),
    _struct("app/system/inspect/RequestInspectNetwork"),
    _struct("app/system/inspect/ResponseInspectNetwork", Event=EVENT, Stopped=BOOL, Info=_reg("gen/NetworkInfo")),
    _struct("app/system/inspect/MessageInspectNetwork", Node=ATOM, Stopped=BOOL, Info=_reg("gen/NetworkInfo")),
    _struct("app/system/inspect/RequestInspectConnection", RemoteNode=ATOM),
    _struct("app/system/inspect/ResponseInspectConnection", Event=EVENT, Disconnected=BOOL,
        Info=_reg("gen/RemoteNodeInfo")),
    _struct("app/system/inspect/MessageInspectConnection", Node=ATOM, Disconnected=BOOL,
        Info=_reg("gen/RemoteNodeInfo")),
    _struct("app/system/inspect/RequestInspectProcessList", Start=INT, Limit=INT),
    _struct("app/system/inspect/ResponseInspectProcessList", Event=EVENT),
    _struct("app/system/inspect/MessageInspectProcessList", Node=ATOM, Processes=Slice(_reg("gen/ProcessShortInfo"))),
    _struct("app/system/inspect/RequestInspectLog", Levels=Slice(_reg("gen/LogLevel"))),
    _struct("app/system/inspect/ResponseInspectLog", Event=EVENT),
    _struct("app/system/inspect/MessageInspectLogNode", Node=ATOM, Creation=INT64, Timestamp=INT64,
        Level=_reg("gen/LogLevel"), Message=STRING),
    _struct("app/system/inspect/MessageInspectLogNetwork", Node=ATOM, Peer=ATOM, Timestamp=INT64,
        Level=_reg("gen/LogLevel"), Message=STRING),
    _struct("app/system/inspect/MessageInspectLogProcess", Node=ATOM, Name=ATOM, PID=PID, Timestamp=INT64,
        Level=_reg("gen/LogLevel"), Message=STRING),
    _struct("app/system/inspect/MessageInspectLogMeta", Node=ATOM, Parent=PID, Meta=ALIAS, Timestamp=INT64,
        Level=_reg("gen/LogLevel"), Message=STRING),
    _struct("app/system/inspect/RequestInspectProcess", PID=PID),
    _struct("app/system/inspect/ResponseInspectProcess", Event=EVENT),
    _struct("app/system/inspect/MessageInspectProcess", Node=ATOM, Info=_reg("gen/ProcessInfo"), Terminated=BOOL),
    _struct("app/system/inspect/RequestInspectProcessState", PID=PID),
    _struct("app/system/inspect/ResponseInspectProcessState", Event=EVENT),
    _struct("app/system/inspect/MessageInspectProcessState", Node=ATOM, PID=PID, State=Map(STRING, STRING)),
    _struct("app/system/inspect/RequestInspectMeta", Meta=ALIAS),
    _struct("app/system/inspect/ResponseInspectMeta", Event=EVENT),
    _struct("app/system/inspect/MessageInspectMeta", Node=ATOM, Info=_reg("gen/MetaInfo"), Terminated=BOOL),
    _struct("app/system/inspect/RequestInspectMetaState", Meta=ALIAS),
    _struct("app/system/inspect/ResponseInspectMetaState", Event=EVENT),
    _struct("app/system/inspect/MessageInspectMetaState", Node=ATOM, Meta=ALIAS, State=Map(STRING, STRING)),
    _struct("app/system/inspect/RequestDoSend", PID=PID, Priority=_reg("gen/MessagePriority"), Message=ANY),
    _struct("app/system/inspect/ResponseDoSend", Error=ERROR),
    _struct("app/system/inspect/RequestDoSendMeta", Meta=ALIAS, Message=ANY),
    _struct("app/system/inspect/ResponseDoSendMeta", Error=ERROR),
    _struct("app/system/inspect/RequestDoSendExit", PID=PID, Reason=ERROR),
    _struct("app/system/inspect/ResponseDoSendExit", Error=ERROR),
    _struct("app/system/inspect/RequestDoSendExitMeta", Meta=ALIAS, Reason=ERROR),
    _struct("app/system/inspect/ResponseDoSendExitMeta", Error=ERROR),
    _struct("app/system/inspect/RequestDoKill", PID=PID),
    _struct("app/system/inspect/ResponseDoKill", Error=ERROR),
    _struct("app/system/inspect/RequestDoSetLogLevel", Level=_reg("gen/LogLevel")),
    _struct("app/system/inspect/RequestDoSetLogLevelProcess", PID=PID, Level=_reg("gen/LogLevel")),
    _struct("app/system/inspect/RequestDoSetLogLevelMeta", Meta=ALIAS, Level=_reg("gen/LogLevel")),
    _struct("app/system/inspect/ResponseDoSetLogLevel", Error=ERROR),
    _struct("app/system/inspect/RequestInspectApplicationList"),
    _struct("app/system/inspect/ResponseInspectApplicationList", Event=EVENT),
    _struct("app/system/inspect/MessageInspectApplicationList", Node=ATOM, Applications=Map(ATOM,
        _reg("gen/ApplicationInfo"))),
    _struct("app/system/inspect/RequestInspectApplicationTree", Application=ATOM, Limit=INT),
    _struct("app/system/inspect/ResponseInspectApplicationTree", Event=EVENT),
    _struct("app/system/inspect/MessageInspectApplicationTree", Node=ATOM, Application=ATOM,
        Processes=Slice(_reg("gen/ProcessShortInfo"))),
    # net/handshake
    *ehs.MESSAGES,
    # net/proto
    *enp.CONTROL,
    # net/registrar
    *esrd.MESSAGES,
    # app/system
    _struct("app/system/MessageMetrics", Name=ATOM, Creation=INT64, Uptime=INT64, Arch=STRING, OS=STRING, NumCPU=INT,
        GoVersion=STRING, Version=STRING, ErgoVersion=STRING, Commercial=STRING),
)

# fmt: on

SINCE_3_1: Final = frozenset(
    FRAMEWORK + name
    for name in (
        "gen/CronJobInfo",
        "gen/CronInfo",
        "gen/CronSchedule",
        "gen/ApplicationInfo",
        "app/system/inspect/RequestInspectApplicationList",
        "app/system/inspect/ResponseInspectApplicationList",
        "app/system/inspect/MessageInspectApplicationList",
        "app/system/inspect/RequestInspectApplicationTree",
        "app/system/inspect/ResponseInspectApplicationTree",
        "app/system/inspect/MessageInspectApplicationTree",
    )
)
"""Names of the rows that 3.0 does not have."""

# fmt: off
ROWS_3_0: Final[tuple[Row, ...]] = (
    _struct("gen/NodeInfo", Name=ATOM, Uptime=INT64, Version=_reg("gen/Version"), Framework=_reg("gen/Version"),
        Commercial=Slice(_reg("gen/Version")), Env=Map(_reg("gen/Env"), ANY), LogLevel=_reg("gen/LogLevel"),
        Loggers=Slice(_reg("gen/LoggerInfo")), ProcessesTotal=INT64, ProcessesRunning=INT64, ProcessesZombee=INT64,
        RegisteredAliases=INT64, RegisteredNames=INT64, RegisteredEvents=INT64, ApplicationsTotal=INT64,
        ApplicationsRunning=INT64, MemoryUsed=UINT64, MemoryAlloc=UINT64, UserTime=INT64, SystemTime=INT64),
)
"""Rows whose definition in 3.0 differs."""
# fmt: on

ERRORS: Final = tuple(error.text for error in error_values.REGISTERED)
"""Texts of the errors that the framework registers, in order; their ids start at FIRST_ERROR_ID."""


PROFILES: Final = ("ergo-3.0", "ergo-3.1")
"""The releases that have a table here."""


def framework(profile: str = "ergo-3.1") -> Registry:
    """Returns the types that a node of this profile knows before it registers its own. ValueError for an unknown profile."""
    if profile not in PROFILES:
        raise ValueError(f"unknown profile {profile!r} (known: {', '.join(PROFILES)})")
    if profile != "ergo-3.0":
        return Registry(ROWS)
    older = {row.name: row for row in ROWS_3_0}
    return Registry(older.get(row.name, row) for row in ROWS if row.name not in SINCE_3_1)

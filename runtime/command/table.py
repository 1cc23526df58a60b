"""The commands and their flags: the same names as runc's, which engines know."""

from typing import Final

from runtime.command.arguments import Command, Option

PROGRAM: Final = "cinspect-oci"
VERSION: Final = "0.1.0"
SPEC_VERSION: Final = "1.2.1"
"""The newest version of the runtime specification whose whole is done."""

SHARED: Final = (
    Option("root", "DIR", "where the state of containers is kept"),
    Option("log", "FILE", "where messages go (default: stderr)"),
    Option("log-format", "FORMAT", "text or json"),
    Option("debug", help="say more"),
    Option("systemd-cgroup", help="have systemd make the cgroups"),
    Option(
        "rootless", "BOOL", "true, false or auto (default): whether rights are expected to lack"
    ),
    Option("criu", "PATH", "taken for compatibility"),
    Option("help", help="show help", short="h"),
    Option("version", help="print the version", short="v"),
)

_STREAMS: Final = (
    Option("console-socket", "PATH", "a socket that receives the terminal's master"),
    Option("pidfd-socket", "PATH", "a socket that receives the process's pidfd"),
    Option("pid-file", "FILE", "where the pid is written"),
    Option("preserve-fds", "N", "how many more descriptors the process gets"),
)
_CREATE: Final = (
    Option("bundle", "DIR", "the bundle's directory (default: the current one)", "b"),
    *_STREAMS,
    Option("no-pivot", help="do not use pivot_root"),
    Option("no-new-keyring", help="keep the caller's session keyring"),
)
_FORMAT: Final = Option("format", "FORMAT", "table or json", "f")

REFUSED: Final = {
    "checkpoint": "containers cannot be saved to files",
    "restore": "containers cannot be made from saved files",
}
"""Commands of runc's that there are none of, and why."""
COMMANDS: Final = (
    Command(
        "create", "creation", "create", "make a container, which waits for its start",
        options=_CREATE,
    ),
    Command("start", "lifecycle", "start", "run the command of a container that was made"),
    Command("state", "listing", "state", "print the state of a container"),
    Command(
        "kill", "lifecycle", "kill", "send a signal to a container (default: TERM)",
        arguments="ID [SIGNAL]", most=2,
        options=(Option("all", help="to all its processes", short="a"),),
    ),
    Command(
        "delete", "lifecycle", "delete", "remove a container that has stopped",
        options=(Option("force", help="kill it first if it runs", short="f"),),
    ),
    Command(
        "run", "creation", "run", "make and start a container",
        options=(
            *_CREATE,
            Option("detach", help="do not wait for it", short="d"),
            Option("keep", help="do not delete it when it has ended"),
            Option("no-subreaper", help="do not adopt the orphans of the container"),
        ),
    ),
    Command(
        "exec", "execution", "execute", "run one more process in a container",
        arguments="ID [COMMAND…]", most=None, in_order=True,
        options=(
            Option("process", "FILE", "the process as JSON", "p"),
            *_STREAMS,
            Option("detach", help="do not wait for it", short="d"),
            Option("tty", help="give it a terminal", short="t"),
            Option("user", "UID[:GID]", "who it runs as", "u"),
            Option("additional-gids", "GID", "one more group", "g", many=True),
            Option("cwd", "DIR", "its working directory"),
            Option("env", "KEY=VALUE", "one more environment variable", "e", many=True),
            Option("cap", "NAME", "one more capability", "c", many=True),
            Option("no-new-privs", help="let it gain no privileges"),
            Option("apparmor", "PROFILE", "its AppArmor profile"),
            Option("process-label", "LABEL", "its SELinux label"),
            Option("cgroup", "[CONTROLLER:]PATH", "a cgroup below the container's", many=True),
            Option("ignore-paused", help="even if the container is paused"),
        ),
    ),
    Command("pause", "lifecycle", "pause", "stop all processes of a container"),
    Command("resume", "lifecycle", "resume", "let them go on"),
    Command(
        "ps", "listing", "processes", "list the processes of a container",
        arguments="ID [PS OPTIONS]", most=None, in_order=False, options=(_FORMAT,),
    ),
    Command(
        "list", "listing", "containers", "list the containers", arguments="", least=0, most=0,
        options=(_FORMAT, Option("quiet", help="ids only", short="q")),
    ),
    Command(
        "update", "limits", "update", "change the limits of a container",
        options=(
            Option("resources", "FILE", "the limits as JSON; - is stdin", "r"),
            Option("blkio-weight", "N", "weight of block IO, 10 to 1000"),
            Option("cpu-period", "USEC", "length of a period"),
            Option("cpu-quota", "USEC", "CPU time in a period"),
            Option("cpu-burst", "USEC", "CPU time that may be saved up"),
            Option("cpu-share", "N", "weight of CPU time"),
            Option("cpu-rt-period", "USEC", "length of a realtime period"),
            Option("cpu-rt-runtime", "USEC", "realtime CPU time in a period"),
            Option("cpu-idle", "BOOL", "1: only when nobody else runs"),
            Option("cpuset-cpus", "LIST", "the CPUs to use"),
            Option("cpuset-mems", "LIST", "the memory nodes to use"),
            Option("kernel-memory", "BYTES", "taken for compatibility"),
            Option("kernel-memory-tcp", "BYTES", "limit of TCP buffers"),
            Option("memory", "BYTES", "limit of memory"),
            Option("memory-reservation", "BYTES", "what memory is kept if all want some"),
            Option("memory-swap", "BYTES", "limit of memory and swap; -1 is none"),
            Option("pids-limit", "N", "how many processes there may be"),
            Option("l3-cache-schema", "TEXT", "Intel RDT's schema"),
            Option("mem-bw-schema", "TEXT", "Intel RDT's schema"),
        ),
    ),
    Command(
        "events", "usage", "events", "print the use of resources, again and again",
        options=(
            Option("interval", "DURATION", "how often, as 5s"),
            Option("stats", help="print once"),
        ),
    ),
    Command(
        "spec", "template", "spec", "write a config.json to begin with",
        arguments="", least=0, most=0,
        options=(
            Option("bundle", "DIR", "where to write it", "b"),
            Option("rootless", help="for a user without privileges"),
        ),
    ),
    Command(
        "features", "features", "features", "print what this runtime can do, as JSON",
        arguments="", least=0, most=0,
    ),
)  # fmt: skip

"""Why a run failed, as its log and its failure file tell: which rule it broke. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from byoc_cli.check.training.ran import Ran
from byoc_cli.contract import paths

ITSELF = "itself"
"""No rule of the contract, but a fault that no data mends: a module that is not there."""
ELSEWHERE = "elsewhere"
"""Nor this: a file that is not there, and is no matter of /opt/ml. It may be what a download would have made."""
_BUS_ERROR = 135
GPU = "gpu"
CHANNEL = "channel"
_MISSING = (
    r"No such file|FileNotFound|not found|does not exist|doesn't exist|cannot open|can't open|cannot stat|ENOENT"
    r"|NoSuchFile"
)


@dataclass(frozen=True)
class Cause:
    """A rule's id, or one of the words above, the line that tells, and what it names (a file, a variable)."""

    id: str
    line: str
    name: str = ""


_NETWORK = (
    r"name resolution|Name or service not known|Could not resolve|Couldn't resolve|nodename nor servname"
    r"|getaddrinfo (?:E[A-Z]|fail)"  # else it is a line of source
    r"|Network is unreachable|No route to host|NewConnectionError|ConnectTimeout|EndpointConnectionError|ENETUNREACH"
    r"|EAI_AGAIN|Could not connect to the endpoint|NoCredentialsError|Unable to locate credentials|URLError"
    r"|No matching distribution found|Temporary failure resolving|unable to resolve host|no such host|dial tcp"
    r"|Could not find a version that satisfies|Failed to connect to |UnknownHostException|NoRegionError"
    r"|server misbehaving|failed to lookup address|^(?:TimeoutError|socket\.timeout|OSError): .*timed out"
)
_STRINGS = (
    r"'str' object cannot be interpreted as an integer|can only concatenate str"
    r"|unsupported operand type\(s\) for .*'str'"
    r"|not supported between instances of (?:'str' and '(?:[\w.]*(?:int|float)\d*)'|'[\w.]*(?:int|float)\d*' and 'str')"
    r"|must be real number, not str|can't multiply sequence by non-int|an integer is required \(got type str\)"
    r"|slice indices must be integers|indices must be integers|bad operand type for .*'str'"
    r"|argument must be .*not 'str'"
    r"|must be (?:an? )?(?:instance of |in the range )?\W*(?:int|float|bool|numb)\S*.*"
    r"(?:[Gg]ot|not) .*(?:str|'[-\d.e]+')"
    r"|not all arguments converted during string formatting|number is required, not str"
    r"|Unknown format code '\w' for object of type 'str'|type str doesn't define __round__"
    r"|did not contain a loop with signature matching types .*dtype\('<U"
    r"|has type (?:<class ')?str'?>?, but expected one of"
    r"|[Ee]xpected (?:an? )?(?:int|float|number|bool)\w*,? (?:but )?(?:got|found|received) .*str"
    r"|cannot unmarshal string into Go .*of type (?:u?int|float|bool)|invalid type: string .*, expected [iuf]\d"
    r"|non-numeric argument to|Cannot deserialize value of type .*(?:int|double|Integer|Double)"
)
_SHARED_MEMORY = (
    r"(?i)(bus error|(?:unable|failed|cannot|no space).*(?:/dev/shm|shared memory)"
    r"|(?:/dev/shm|shared memory).*no space)"
)
# Of a program that fails for want of one; toolkits and frameworks say of each CPU that it is none.
_NO_GPU = (
    r"^(?!.*(?:dlerror|dynamic library|cuInit|Warning)).*"
    r"(?:no NVIDIA driver|CUDA driver version is insufficient|[Nn]o CUDA-capable device|libcuda\.so\S*: cannot open"
    r"|Torch not compiled with CUDA|Error\b.*(?:\bGPUs?\b|\bCUDA\b)|torch\.cuda\.is_available\(\) is False)"
)
# Keys of the platform's files as they are not spelled, one that is there only where it was given, and those that came
# later and have to be passed over (T-15, T-16, T-19).
_KEYS = (
    r"KeyError: '(?!(?:current_host|current_instance_type|current_group_name|hosts|network_interface_name"
    r"|instance_groups|TrainingInputMode|S3DistributionType)')"
    r"((?i:current.?host|current.?instance.?type|current.?(?:instance.?)?group(?:.?name)?|hosts|S3Uri"
    r"|network.?interface.?name|instance.?groups|ContentType|TrainingInputMode|S3DistributionType))'"
)
# Its own name, which is not the host's (T-17, T-27), and an interface that it takes for granted (T-18).
_NAMES = (
    r"(?:Error|Exception|[Ff]ail|not in|[Uu]nknown).*\b(ip-10-0-[\w-]+)",
    r"(no interface with this name|interface not found|no such network interface)",
    r"\b(eth[1-9]|ethwe)\b.*(?:does not exist|not found|[Nn]o such|[Uu]nknown|[Cc]annot)",
    r"(?:[Nn]o such|[Uu]nknown|[Cc]annot|[Uu]nable|[Ff]ail|Error).*\b(eth[1-9]|ethwe)\b",
)
_MORE_KEYS = (
    r"unexpected keyword argument '(current_instance_type|current_group_name|instance_groups|topology)'"
    r"|unknown field \W*(current_instance_type|current_group_name|instance_groups|topology)"
)
_ITSELF = (
    r"ModuleNotFoundError|ImportError: |Cannot find module|there is no package called"
    # A library that TensorFlow tries, and does without, is no fault.
    r"|^(?!.*(?:dlerror|dynamic library)).*cannot open shared object file"
    r"|can't open file|SyntaxError: |IndentationError: |NameError: |command not found|^\S+: \d+: \S+: not found$"
    r"|: exec: \S+: not found$"
    r"|(?:Could not find or load main class)|Can't locate \S+ in @INC|: No module named "
    # Windows line ends in a file that a shell reads.
    r"|\$'[^']*\\r'"
)
_ELSEWHERE = re.compile(rf"[ '\"\u2018](/(?!{paths.ROOT[1:]}/(?!code\b)|tmp\b|proc\b|sys\b|dev\b)[\w./-]+)")


def cause(ran: Ran, *, channels: Collection[str] = (), strings: bool = False) -> Cause | None:
    """Find the first that explains a failure; `channels` are those it had, `strings` whether it had hyperparameters."""
    if ran.code == _BUS_ERROR:
        return Cause("T-76", "it was killed by SIGBUS (exit code 135): memory that /dev/shm does not have")
    lines = [*(ran.failure or "").splitlines(), *ran.log.splitlines()]
    return next((found for found in _causes(lines, channels, strings=strings)), None)


def _causes(lines: Sequence[str], channels: Collection[str], *, strings: bool) -> Iterator[Cause]:
    yield from _find("T-14", r"(resourceConfig\.json)", lines)
    yield from _find("T-29", r"(?:KeyError|EnvironmentError|not found|undefined|missing)\W+(SM_[A-Z][A-Z_0-9]*)", lines)
    yield from _find(
        "T-29", r"\b(SM_[A-Z][A-Z_0-9]*)\W+(?:unbound|parameter|is not set|not set|is not defined|is required)", lines
    )
    yield from _find("T-59", rf"(?:Read-only file system|EROFS|Errno 30).*?({paths.DATA}/\S+?)?['\"]?$", lines)
    yield from _find("T-60", rf"(?:[Pp]ermission denied|PermissionError|EACCES).*?({paths.ROOT}[\w./-]*)", lines)
    yield from _find("T-60", rf"({paths.ROOT}[\w./-]*).*(?:[Pp]ermission denied|EACCES)", lines)
    yield from _find("T-22", rf"(?:Error|[Nn]ot a directory|[Cc]annot|[Ff]ail).*({paths.DATA}/[\w.-]+-manifest)", lines)
    yield from _find("T-22", rf"({paths.DATA}/[\w.-]+-manifest).*(?:[Ee]rror|[Nn]ot a directory|[Ff]ail)", lines)
    for channel in channels:
        yield from _find("T-22", rf"KeyError: '({re.escape(channel)}-manifest)'", lines)
    yield from _find("T-74", f"({_NETWORK})", lines)
    yield from _find("T-76", _SHARED_MEMORY, lines)
    yield from _find("T-11", _KEYS, lines)
    yield from _find("T-11", _MORE_KEYS, lines)
    for names in _NAMES:
        yield from _find("T-11", names, lines)
    if strings:
        yield from _find("T-12", f"({_STRINGS})", lines)
    yield from _missing(lines, channels)
    yield from _find(GPU, f"({_NO_GPU})", lines)
    yield from _find(ITSELF, f"({_ITSELF})", lines)
    # The last word is that a file of the image's own is not there.
    if lines and re.search(_MISSING, lines[-1]) and (path := _ELSEWHERE.search(lines[-1])):
        yield Cause(ELSEWHERE, lines[-1].strip(), path[1])


def _missing(lines: Sequence[str], channels: Collection[str]) -> Iterator[Cause]:
    """Tell which file of /opt/ml was looked for in vain."""
    for line in lines:
        if not re.search(_MISSING, line):
            continue
        for path in re.findall(rf"{paths.ROOT}/[\w./-]+", line):
            channel = re.match(rf"{paths.DATA}/([\w.-]+)", path)
            if channel and channel[1] not in channels:
                yield Cause(CHANNEL, line, channel[1])
            elif path.startswith(f"{paths.CONFIG}/"):
                yield Cause("T-21", line, path)
            elif path.startswith((f"{paths.OUTPUT}/", f"{paths.CHECKPOINTS}/")):
                yield Cause("T-11", line, path)


def _find(id_: str, pattern: str, lines: Sequence[str]) -> Iterator[Cause]:
    for line in lines:
        if found := re.search(pattern, line):
            yield Cause(id_, line.strip(), found[1] or "")
            return


_REFUSALS = (
    r"(?:unknown|unrecogni[sz]ed|invalid|unsupported|no such|not recogni[sz]e|unexpected)(?: \w+)?"
    r" (?:command|argument|option|mode|choice|action|sub-?command|operation|task)s?\b\W{0,3}\b@\b(?! \w)"
    r"|\b@(?:ing)?\b['\"]?(?: (?:mode|command))? (?:is |are )?"
    r"(?:not (?:yet )?(?:implemented|supported|available)\b|unsupported)"
)


DOES_NOT_TRAIN = "the image does not train: "
"""What a reason begins with where the program has told that it does something else."""


def refusal(ran: Ran, word: str) -> str:
    """The line in which a failed run says that it does not know the word it was started with, "" for none."""
    forms = {"train": "train", "serve": "serv(?:e|ing)"}
    pattern = re.compile(f"(?i){_REFUSALS.replace('@', forms.get(word, word))}")
    lines = [*(ran.failure or "").splitlines(), *ran.log.splitlines()] if ran.code else []
    # A traceback has the source first.
    return next((line.strip() for line in reversed(lines) if pattern.search(line)), "")


_NOTHING_TO_DO = re.compile(
    r"(?i)\b(?:no|zero|0|empty|without|missing|find any|can(?:not|'t) find|could(?:n't| not) find)\b[^.:]{0,40}"
    r"\b(?:data(?:set)?s?|files?|samples?|images?|channels?|inputs?|rows|GPUs?)\b"
)


def nothing_to_do(ran: Ran) -> str:
    """The line of a log that tells that there was nothing that it could train on, "" for none."""
    return next((line.strip() for line in ran.log.splitlines() if _NOTHING_TO_DO.search(line)), "")


def missing_variable(log: str, source: str) -> Cause | None:
    """Find a variable of the toolkit's that the source takes for granted, where the log tells of a missing value."""
    line = next((line for line in log.splitlines() if "NoneType" in line), "")
    named = re.search(r"""(?:environ\.get|getenv)\(\s*["'](SM_[A-Z][A-Z_0-9]*)["']\s*\)""", source)
    return Cause("T-29", line.strip(), named[1]) if line and named else None


def of_what_was_not_given(found: Cause) -> Cause | None:
    """With the toolkit a variable of a channel, or of a hyperparameter, that is not there tells that it had none."""
    of_channel = re.match(r"SM_CHANNEL_(\w+)", found.name) if found.id == "T-29" else None
    if of_channel:
        return Cause(CHANNEL, found.line, of_channel[1].lower())
    return None if found.id == "T-29" and found.name.startswith("SM_HP_") else found


def complaint(log: str, before: str = "") -> str:
    """The line of a log that tells of an error and did not stand in the log `before`, "" for none."""
    known = set(before.splitlines())
    words = (
        r"Traceback \(most recent call last\)|^\s*(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception)\b|^panic: |parse error"
        r"|^Exception in thread|[Ss]egmentation fault|core dumped|uncaughtException|^Error in "
    )
    found = [line.strip() for line in log.splitlines() if re.search(words, line) and line not in known]
    telling = [line for line in found if not line.startswith("Traceback")]
    return (telling or found or [""])[-1]

"""Splits the captures in tests/fuzz/corpus into one directory of seeds for each fuzz target: seeds.py OUT_DIR.

capture.cc has the captures' format. A message that several sessions sent alike is one seed.
"""

import hashlib
import pathlib
import sys

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"
ENVELOPE_BYTES = 25  # of XLogData, before the message
FAMILIES = {
    "transaction_control": b"BCObPpKr",
    "relation": b"RY",
    "row": b"IUD",
    "truncate_message": b"TM",
    "stream": b"SEcA",
}
# The assembler's choices: own origins, small slices, and blocks where the session has such.
CHOICES_PLAIN, CHOICES_STREAMED = 3, 7


def sessions(data):
    """Each session's messages as the server sent them, envelopes included."""
    messages, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at:at + 4], "big")
        at += 4
        if size == 0:
            yield messages
            messages = []
        else:
            messages.append(data[at:at + size])
            at += size


def assembler_seeds(messages):
    """The session as the assembler's target reads it: whole, and cut after each eighth of it."""
    choices = CHOICES_STREAMED if any(message[:1] == b"S" for message in messages) else CHOICES_PLAIN
    for eighth in range(1, 9):
        part = messages[:len(messages) * eighth // 8]
        yield bytes([choices]) + b"".join(len(message).to_bytes(2, "big") + message for message in part)


def seeds(envelopes):
    """(target, seed) of one session."""
    messages = [envelope[ENVELOPE_BYTES:] for envelope in envelopes if envelope[:1] == b"w"]
    for envelope in envelopes:
        yield "copy_data", envelope[:ENVELOPE_BYTES + 16]
    in_block = False
    for message in messages:
        tag = message[:1]
        if tag == b"S":
            in_block = True
        elif tag == b"E":
            in_block = False
        elif in_block:
            yield "stream", message
            continue
        for target, tags in FAMILIES.items():
            if tag in tags:
                yield target, message
    for seed in assembler_seeds(messages):
        yield "assembler", seed


def main():
    out = pathlib.Path(sys.argv[1])
    for capture in sorted(CORPUS.glob("*.bin")):
        for envelopes in sessions(capture.read_bytes()):
            for target, seed in seeds(envelopes):
                directory = out / target
                directory.mkdir(parents=True, exist_ok=True)
                (directory / hashlib.sha1(seed).hexdigest()).write_bytes(seed)


if __name__ == "__main__":
    main()

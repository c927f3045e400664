"""Requests gone wrong, made from the descriptors: every field of every method missing, over-long, of the wrong wire type,
torn, or with text that is none."""

from google.protobuf.descriptor import FieldDescriptor as F

from ttrpc_client import message_class, method_descriptor

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
WIRE_TYPES = {
    F.TYPE_BOOL: VARINT, F.TYPE_INT32: VARINT, F.TYPE_UINT32: VARINT, F.TYPE_INT64: VARINT, F.TYPE_UINT64: VARINT,
    F.TYPE_ENUM: VARINT, F.TYPE_STRING: BYTES, F.TYPE_BYTES: BYTES, F.TYPE_MESSAGE: BYTES,
}


def varint(value):
    data = b""
    while value > 0x7F:
        data += bytes([value & 0x7F | 0x80])
        value >>= 7
    return data + bytes([value])


def field(number, wire_type, content):
    """One field on the wire; content is an int, or bytes."""
    key = varint(number << 3 | wire_type)
    if wire_type == VARINT:
        return key + varint(content)
    if wire_type == BYTES:
        return key + varint(len(content)) + content
    return key + content


def paths(descriptor):
    """Every field of a message and of the messages in it, as a list from the outside in."""
    for one in descriptor.fields:
        yield [one]
        if one.message_type is not None:
            for inner in paths(one.message_type):
                yield [one] + inner


def path_name(path):
    return "__".join(f.name for f in path)


def wrapped(path, raw):
    """raw, the last field of the path, inside of the messages that lead to it."""
    for outer in reversed(path[:-1]):
        raw = field(outer.number, BYTES, raw)
    return raw


def without(message, path):
    """A copy of the message with the last field of the path cleared, wherever it is."""
    copy = type(message)()
    copy.CopyFrom(message)
    _clear(copy, path)
    return copy


def _clear(message, path):
    if len(path) == 1:
        message.ClearField(path[0].name)
        return
    value = getattr(message, path[0].name)
    if path[0].label == F.LABEL_REPEATED:
        for one in value:
            _clear(one, path[1:])
    elif message.HasField(path[0].name):
        _clear(value, path[1:])


def missing(sample, path):
    return [without(sample, path).SerializeToString()]


def wrong_type(sample, path):
    """The field with each wire type that it hasn't, and the two deprecated ones that begin and end a group."""
    rest, last = without(sample, path).SerializeToString(), path[-1]
    contents = {VARINT: 7, FIXED64: bytes(8), BYTES: b"seven", FIXED32: bytes(4)}
    made = [field(last.number, wire_type, content) for wire_type, content in contents.items()
            if wire_type != WIRE_TYPES[last.type]]
    made += [varint(last.number << 3 | group) for group in (3, 4, 6, 7)]
    return [rest + wrapped(path, raw) for raw in made]


def torn(sample, path):
    """The field's key with less after it than it promises."""
    rest, last = without(sample, path).SerializeToString(), path[-1]
    wire_type = WIRE_TYPES[last.type]
    key = varint(last.number << 3 | wire_type)
    if wire_type == VARINT:
        promises = [key, key + b"\x80", key + b"\xff" * 9, key + b"\xff" * 11 + b"\1"]
    else:
        promises = [key, key + b"\x80", key + b"\5abcd", key + b"\xff\xff\xff\xff\x0f", key + b"\xff" * 9 + b"\1"]
    return [rest + wrapped(path, raw) for raw in promises]


def over_long(sample, path):
    """Values far beyond what anybody means: long texts and lists, and the largest numbers."""
    rest, last = without(sample, path).SerializeToString(), path[-1]
    number = last.number
    if last.label == F.LABEL_REPEATED:
        made = [field(number, BYTES, b"x" if last.message_type is None else b"") * 100_000]
    elif last.message_type is not None:
        made = [field(number, BYTES, b"") * 100_000, field(number, BYTES, field(1000, BYTES, bytes(2 << 20)))]
    elif WIRE_TYPES[last.type] == BYTES:
        made = [field(number, BYTES, b"x" * size) for size in (300, 70_000, 3 << 20)]
    else:
        made = [field(number, VARINT, value) for value in (2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1)]
    return [rest + wrapped(path, raw) for raw in made]


def no_text(sample, path):
    """For text only: what is no UTF-8, and a zero byte, at which a C string would end."""
    if path[-1].type != F.TYPE_STRING:
        return []
    rest = without(sample, path).SerializeToString()
    texts = (b"\xff\xfe", b"a\x80b", b"\xc0\xaf", b"\xed\xa0\x80", b"\0", b"a\0b")
    return [rest + wrapped(path, field(path[-1].number, BYTES, text)) for text in texts]


def several(sample, path):
    """A field that there is one of, five times over: the last counts, or it is refused."""
    if path[-1].label == F.LABEL_REPEATED or path[-1].message_type is not None:
        return []
    last = path[-1]
    content = 1 if WIRE_TYPES[last.type] == VARINT else b"x"
    raw = field(last.number, WIRE_TYPES[last.type], content)
    return [without(sample, path).SerializeToString() + wrapped(path, raw) * 5]


KINDS = {"missing": missing, "wrong_type": wrong_type, "torn": torn, "over_long": over_long, "no_text": no_text,
         "several": several}


def applies(kind, path):
    """Whether there is anything of the kind for this field."""
    return kind not in (no_text, several) or bool(kind(message_class(path[0].containing_type)(), path))


def cases(names):
    """{case: (method, path, kind)} for every field of these methods."""
    return {f"{name}__{path_name(path)}__{label}": (name, path, kind)
            for name in names for path in paths(method_descriptor(name).input_type)
            for label, kind in KINDS.items() if applies(kind, path)}

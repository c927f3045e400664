"""The style of the contract, read from the descriptors that protoc makes with their comments."""

import re

from google.protobuf import descriptor_pb2

PASCAL = r"[A-Z][A-Za-z0-9]*"
SNAKE = r"[a-z][a-z0-9]*(_[a-z0-9]+)*"
SCREAMING = r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*"

# Numbers of the fields of descriptor.proto: the steps of a SourceCodeInfo path.
FILE_MESSAGE, FILE_ENUM, FILE_SERVICE = 4, 5, 6
MESSAGE_FIELD, MESSAGE_NESTED, MESSAGE_ENUM, MESSAGE_ONEOF = 2, 3, 4, 8
ENUM_VALUE, SERVICE_METHOD = 2, 2


def load(path):
    files = descriptor_pb2.FileDescriptorSet()
    with open(path, "rb") as stream:
        files.ParseFromString(stream.read())
    return files


class Checker:
    """Walks one file, and keeps what it finds."""

    def __init__(self, file):
        self.file = file
        self.locations = {tuple(l.path): l for l in file.source_code_info.location}
        self.findings = []

    def report(self, path, message):
        location = self.locations.get(path)
        line = location.span[0] + 1 if location else 1
        self.findings.append(f"proto/{self.file.name}:{line}: {message}")

    def named(self, path, kind, name, pattern, style):
        location = self.locations.get(path)
        if not location or not (location.leading_comments.strip() or location.trailing_comments.strip()):
            self.report(path, f"{kind} {name} has no comment: say what it is for")
        if not re.fullmatch(pattern, name):
            self.report(path, f"{kind} {name} is not {style}")

    def enum(self, path, enum):
        self.named(path, "enum", enum.name, PASCAL, "PascalCase")
        prefix = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", enum.name).upper() + "_"
        for i, value in enumerate(enum.value):
            here = path + (ENUM_VALUE, i)
            self.named(here, "enum value", value.name, SCREAMING, "SCREAMING_SNAKE_CASE")
            if not value.name.replace("_", "").startswith(prefix.replace("_", "")):
                self.report(here, f"enum value {value.name} doesn't begin with {prefix}: C has one scope for them all")
        if enum.value[0].number != 0:
            self.report(path, f"enum {enum.name} has no value 0, which is what proto3 reads when nothing was sent")

    def message(self, path, message):
        if message.options.map_entry:
            return  # protoc's own, for a map<>
        self.named(path, "message", message.name, PASCAL, "PascalCase")
        for i, field in enumerate(message.field):
            here = path + (MESSAGE_FIELD, i)
            self.named(here, "field", field.name, SNAKE, "lower_snake_case")
            if field.proto3_optional:
                self.report(here, f"field {field.name} is optional, which protobuf-c 1.4 can't read: use a wrapper "
                                  "message or a oneof")
        # protoc makes a oneof of every optional field, which has been complained about already.
        unwritten = {field.oneof_index for field in message.field if field.proto3_optional}
        for i, oneof in enumerate(message.oneof_decl):
            if i in unwritten:
                continue
            self.named(path + (MESSAGE_ONEOF, i), "oneof", oneof.name, SNAKE, "lower_snake_case")
        for i, enum in enumerate(message.enum_type):
            self.enum(path + (MESSAGE_ENUM, i), enum)
        for i, nested in enumerate(message.nested_type):
            self.message(path + (MESSAGE_NESTED, i), nested)

    def service(self, path, service):
        self.named(path, "service", service.name, PASCAL + "Service", "PascalCase, ending in Service")
        for i, method in enumerate(service.method):
            self.named(path + (SERVICE_METHOD, i), "rpc", method.name, PASCAL, "PascalCase")

    def run(self):
        for i, message in enumerate(self.file.message_type):
            self.message((FILE_MESSAGE, i), message)
        for i, enum in enumerate(self.file.enum_type):
            self.enum((FILE_ENUM, i), enum)
        for i, service in enumerate(self.file.service):
            self.service((FILE_SERVICE, i), service)
        return self.findings


def message_graph(files):
    """{full name: the full names of the messages in its fields}"""
    graph = {}

    def add(scope, message):
        name = f"{scope}.{message.name}"
        graph[name] = [f.type_name for f in message.field if f.type_name and f.type == f.TYPE_MESSAGE]
        for nested in message.nested_type:
            add(name, nested)

    for file in files.file:
        for message in file.message_type:
            add("." + file.package, message)
    return graph


def recursive_messages(files):
    """protobuf-c has no limit on depth: a message that can hold itself is a stack that a peer can overflow."""
    graph = message_graph(files)

    def reaches(start):
        seen, todo = set(), list(graph[start])
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += graph.get(name, [])
        return start in seen

    return [f"proto: message {name[1:]} can hold itself: name the parent by number instead, for protobuf-c has no "
            "limit on depth" for name in graph if reaches(name)]


def all_findings(files):
    # What gRPC's own services are called is not ours to say; that a message can't hold itself is.
    findings = [f for file in files.file if not file.name.startswith("grpc/") for f in Checker(file).run()]
    return findings + recursive_messages(files)

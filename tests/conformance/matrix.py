"""The matrix: a row is a client, a column is what it does, a cell is a test of conformance_test.py."""

ROWS = {
    "c": "C, libtlsagent",
    "cli": "the command, tlsagent",
    "python_ssl": "Python, our `_ssl`",
    "python_grpc": "Python, grpcio",
    "go": "Go, client/go",
    "node": "Node, client/node",
    "cpp": "C++, grpc++",
    "ruby": "Ruby, grpc",
}

COLUMNS = {
    "get": "https get",
    "serve": "serve",
    "mtls": "mTLS",
    "alpn": "ALPN",
    "resume": "resumption",
    "wrong_host": "wrong host",
    "cancel": "cancelled call",
    "deadline": "deadline",
    "bulk": "16 MiB both ways",
    "decode": "decode",
}

# What can't be, and why.
NOT_APPLICABLE = {
    ("cli", "resume"): "each `tlsagent connect` is a client of its own, and sessions are resumed by the client that had them",
}


def cells():
    """(row, column) of every cell that can be."""
    return [(row, column) for row in ROWS for column in COLUMNS if (row, column) not in NOT_APPLICABLE]


def table(outcomes):
    """The matrix in Markdown; outcomes has whether each cell that was run passed."""
    def word(cell):
        if cell in NOT_APPLICABLE:
            return "n/a"
        return {True: "yes", False: "FAILED", None: "-"}[outcomes.get(cell)]

    lines = [["", *COLUMNS.values()]]
    lines += [[name, *(word((row, column)) for column in COLUMNS)] for row, name in ROWS.items()]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    rows = ["| " + " | ".join(text.ljust(width) for text, width in zip(line, widths)) + " |" for line in lines]
    rows.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    notes = [f"n/a: {ROWS[row]}, {COLUMNS[column]}: {why}." for (row, column), why in NOT_APPLICABLE.items()]
    return "\n".join([*rows, "", *notes]) + "\n"

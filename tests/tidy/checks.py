"""One function for each rule: takes the files, returns findings that say what to do instead.

A finding is "path:line: message". The rules themselves are tables, at the top of each section.
"""

import re

# --- Words ------------------------------------------------------------------------------------------------------------

EVERYWHERE = ("",)
OURS = ("server/", "client/", "proto/")

# (where, what, use instead and why). C is matched without its comments and strings; what is for everywhere, as it is.
BANNED = [
    (OURS, r"\bstrcpy\(", "use snprintf or memcpy with a checked length: strcpy doesn't know its buffer"),
    (OURS, r"\bstrcat\(", "use snprintf: strcat doesn't know its buffer"),
    (OURS, r"\bstrncpy\(", "use memcpy or snprintf: strncpy doesn't always terminate"),
    (OURS, r"\bv?sprintf\(", "use snprintf: sprintf doesn't know its buffer"),
    (OURS, r"\bgets\(", "use fgets or getline: gets doesn't know its buffer"),
    (OURS, r"\bstrtok\(", "use strtok_r or slices: strtok keeps its place in a global"),
    (OURS, r"\b(atoi|atol|atoll)\(", "use strtoul and check the end: atoi can't say that it failed"),
    (OURS, r"\balloca\(", "use a bounded array or the arena: a length must never become a stack size"),
    (OURS, r"\breturn -1;", "return a status_t or an enum that reads as a sentence: -1 tells nobody what happened"),
    (OURS, r"\b(rand|srand|random)\(", "use getrandom or the tls folder: rand can be guessed"),
    (OURS, r"\b(localtime|gmtime|strerror)\(", "use the _r variant: this one shares a buffer between threads"),
    (EVERYWHERE, r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b", "do it now, or write an issue: a note in the code is read by nobody"),
    (EVERYWHERE, "/wo" "rk/|/tmp" "/ob", "name a path relative to the tree: this one exists on one machine only"),
]

# Where a rule doesn't hold: CPython's slots and converters say by -1 that an exception is set.
EXEMPT = {r"\breturn -1;": ("client/python/",)}


def without_comments_and_strings(text):
    """C with its comments, strings and characters blanked out, line numbers kept."""
    token = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return token.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def find(file, text, pattern, message):
    return [f"{file.path}:{number}: {message}"
            for number, line in enumerate(text.split("\n"), 1) if re.search(pattern, line)]


def banned_words(files):
    findings = []
    for file in files:
        for where, pattern, message in BANNED:
            if where is EVERYWHERE:
                findings += find(file, file.text, pattern, message)
            elif file.is_c() and file.path.startswith(where) and not file.path.startswith(EXEMPT.get(pattern, ())):
                findings += find(file, without_comments_and_strings(file.text), pattern, message)
    return findings


# --- Functions --------------------------------------------------------------------------------------------------------

FUNCTION_LINES_MAX = 70


def functions(text):
    """Yields (first line, last line, name) of each function; the layout is clang-format's, so column 0 tells."""
    signature = None  # the line where something at column 0 began
    body = None
    for number, line in enumerate(without_comments_and_strings(text).split("\n"), 1):
        if body is None and re.match(r"(?!class\b|namespace\b)[A-Za-z_]", line):
            signature = (number, line)
        if body is None and line.rstrip().endswith(";"):
            signature = None  # a declaration
        if body is None and signature and line.rstrip().endswith(") {") and not line.startswith("}"):
            body = signature
        if line.startswith("}"):
            if body is not None:
                name = re.search(r"(\w+)\(", body[1])
                yield body[0], number, name.group(1) if name else "?"
            body = signature = None


def long_functions(files):
    return [f"{file.path}:{first}: {name} has {last - first + 1} lines, and {FUNCTION_LINES_MAX} fit a screen: "
            "let it coordinate, and move the work into functions whose names say what they do"
            for file in files if file.path.endswith((".c", ".h", ".cc"))
            for first, last, name in functions(file.text) if last - first + 1 > FUNCTION_LINES_MAX]


# --- Includes ---------------------------------------------------------------------------------------------------------

# Which folders may include a header of another world.
HEADERS = [
    (r"<openssl/", ["server/tls"], "only server/tls knows OpenSSL: ask it by its own headers"),
    (r"<liburing", ["server/ring"], "only server/ring knows io_uring: ask it by its own headers"),
    (r"<nghttp2/", ["server/rpc"], "only server/rpc knows HTTP/2"),
    (r"\.pb-c\.h", ["server/service", "server/rpc", "client"],
     "protobuf stops at service, rpc (its frames) and the clients: pass plain structs below"),
]

# Arrows only point down: what each folder may include beside itself.
ARROWS = {
    "server/base": [],
    "server/ring": ["server/base"],
    "server/tls": ["server/base"],
    "server/tenant": ["server/base"],
    "server/rpc": ["server/ring", "server/tenant", "server/base", "proto"],
    "server/session": ["server/tls", "server/ring", "server/base"],
    "server/front": ["server/session", "server/tenant", "server/tls", "server/ring", "server/base"],
    "server/service": ["server/front", "server/session", "server/rpc", "server/tenant", "server/tls", "server/ring", "server/base",
                       "proto"],
    "server/daemon": ["server/service", "server/front", "server/session", "server/rpc", "server/tenant", "server/tls",
                      "server/ring", "server/base"],
    "server": ["server/daemon", "server/base"],
    "client/c": ["proto"],
    "client/cli": ["client/c"],
    # The one client with the engine in its own process: it has to out-load what it measures, and a call for each step
    # of each connection would be what it measures.
    "client/load": ["client/c", "server/session", "server/tls", "server/ring", "server/base"],
    "client/python": ["client/c", "server/tls/reasons.inc"],  # that is generated: numbers and names, nothing to link
    "proto/ttrpc": [],
}

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"][^>"]+[>"])', re.M)


def folder_of(path):
    return path.rpartition("/")[0]


def foreign_headers(files):
    findings = []
    for file in files:
        if not file.is_c() or not file.is_in("server", "client", "proto"):
            continue
        for pattern, allowed, message in HEADERS:
            if not file.is_in(*allowed):
                findings += find(file, file.text, r"^\s*#\s*include\s.*" + pattern, message)
    return findings


def upward_arrows(files):
    findings = []
    for file in files:
        folder = folder_of(file.path)
        if not file.is_c() or folder not in ARROWS:
            continue
        for match in INCLUDE.finditer(file.text):
            included = match.group(1).strip('<>"')
            target = folder_of(included)
            if not included.startswith(("server/", "client/", "proto/", "tests/")) or target == folder:
                continue
            if not any(ok in (target, included) or target.startswith(ok + "/") for ok in ARROWS[folder]):
                number = file.text.count("\n", 0, match.start(1)) + 1
                findings.append(f"{file.path}:{number}: {folder} may not include {target}: arrows only point down, "
                                "and client and server share proto alone. Be handed what you need from above")
    return findings


# --- Files ------------------------------------------------------------------------------------------------------------

# Sources without a unit test of their own, and why.
UNTESTED = {
    "server/daemon/remote.c": "it joins the others' parts, for peers on a network: tests/e2e/tcp_test.py",
    "server/main.c": "a few calls in a row; tests/e2e runs them all",
}


def mirrored_tests(files):
    paths = {file.path for file in files}
    findings = []
    for path in sorted(paths):
        match = re.fullmatch(r"server/(.*/)?(\w+)\.c", path)
        if match and path not in UNTESTED:
            test = f"tests/unit/{match.group(1) or ''}{match.group(2)}_test.cc"
            if test not in paths:
                findings.append(f"{path}:1: has no {test}: write it, or say why not in UNTESTED in tests/tidy/checks.py")
    return findings


def markdown_titles(files):
    findings = []
    for file in files:
        if not file.path.endswith(".md"):
            continue
        prose = re.sub(r"^```.*?^```", lambda m: "\n" * m.group().count("\n"), file.text, flags=re.S | re.M)
        titles = [n for n, line in enumerate(prose.split("\n"), 1) if line.startswith("# ")]
        if len(titles) != 1 or not file.text.lstrip().startswith("# "):
            findings.append(f"{file.path}:{(titles + [1])[-1]}: a page begins with its one title (#); it has "
                            f"{len(titles)}: make the others sections (##)")
    return findings


def executable_bits(files):
    findings = []
    for file in files:
        script = file.text.startswith("#!")
        if script and not file.executable:
            findings.append(f"{file.path}:1: begins with #! and can't be run: chmod +x it")
        if file.executable and not script:
            findings.append(f"{file.path}:1: can be run and doesn't say by what: give it a #! line, or chmod -x it")
    return findings


def whitespace(files):
    findings = []
    for file in files:
        findings += find(file, file.text, r"[ \t]+$", "ends in blanks: take them off")
        if file.text and not file.text.endswith("\n"):
            findings.append(f"{file.path}:{len(file.lines)}: has no newline at its end: add one")
    return findings


# The installed header is the manual.
PUBLIC_HEADERS = ["client/c/tlsagent.h"]


def undocumented_functions(files):
    """Every paragraph of a public header that declares a function begins with a comment that names it."""
    findings = []
    for file in files:
        if file.path not in PUBLIC_HEADERS:
            continue
        start = 0
        for paragraph in re.split(r"\n[ \t]*\n", file.text):
            number = file.text.count("\n", 0, file.text.index(paragraph, start)) + 1
            start = file.text.index(paragraph, start) + len(paragraph)
            names = re.findall(r"^(?![ \t#/]).*?\b(tlsagent_\w+)\(", without_comments_and_strings(paragraph), re.M)
            comment = "".join(re.findall(r"//.*|/\*.*?\*/", paragraph, re.S))
            findings += [f"{file.path}:{number}: {name} is public and its comment doesn't name it: say what it does, "
                         "what it returns on failure and who owns what" for name in names if name not in comment]
    return findings


ALL = [
    banned_words,
    long_functions,
    foreign_headers,
    upward_arrows,
    mirrored_tests,
    markdown_titles,
    executable_bits,
    whitespace,
    undocumented_functions,
]

"""Which names do OpenSSL's headers give to its numbers? Asked of the headers that we compile with."""

def _openssl_names_impl(ctx):
    context = ctx.attr.openssl[CcInfo].compilation_context
    includes = depset(transitive = [context.includes, context.system_includes, context.quote_includes])
    reasons = ctx.actions.declare_file("reasons.inc")
    constants = ctx.actions.declare_file("constants.inc")
    args = ctx.actions.args()
    args.add(ctx.file._script)
    args.add(reasons)
    args.add(constants)
    args.add_all(includes)
    args.add("/usr/include")  # the compiler looks there too, last
    ctx.actions.run(
        executable = ctx.executable._python,
        arguments = [args],
        inputs = depset([ctx.file._script], transitive = [context.headers]),
        outputs = [reasons, constants],
        mnemonic = "OpensslNames",
        progress_message = "Reading the names in OpenSSL's headers",
    )
    return DefaultInfo(files = depset([reasons, constants]))

openssl_names = rule(
    implementation = _openssl_names_impl,
    doc = "Makes reasons.inc and constants.inc, the tables that error.c and library.c include.",
    attrs = {
        "openssl": attr.label(mandatory = True, providers = [CcInfo], doc = "the OpenSSL we compile with"),
        "_python": attr.label(
            default = "@host_tools//:python3",
            allow_single_file = True,
            executable = True,
            cfg = "host",
        ),
        "_script": attr.label(default = "//server/tls:gen_names.py", allow_single_file = True),
    },
)

# shellcheck shell=bash
# The steps of tools/demo. Sourced after common.sh.
#
# A step is a function: it says what is about to be seen and why, shows the commands as a person would type them,
# and ends the demo when one doesn't do as it says. They run in the scratch directory, with the programs on PATH.

DEMO_PIDS=()

# demo DAEMON CLIENT SCRATCH [HOST[:PORT]]
demo() {
  mkdir "$3/bin"
  ln -s "$1" "$3/bin/tlsagentd"
  ln -s "$2" "$3/bin/tlsagent"
  export PATH=$3/bin:$PATH:/usr/sbin:/sbin
  export TLSAGENT_SOCKET=unix:$3/agent.sock no_proxy=localhost
  cd "$3" || die "cannot go to $3"

  demo_linkage
  demo_daemon
  demo_certificates
  demo_fetch
  demo_refuse
  demo_serve
  demo_relay
  demo_ask
  if [[ -n ${4:-} ]]; then demo_public "$4"; fi
  demo_stop
}

# demo_end: stops whatever a step has started and not stopped itself.
demo_end() {
  local pid
  for pid in "${DEMO_PIDS[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${DEMO_PIDS[@]}"; do wait "$pid" 2>/dev/null || true; done
  DEMO_PIDS=()
}

# --- How it is shown --------------------------------------------------------------------------------------------------

indent() { sed 's/^\t*/      /'; }

# step TITLE WORDS...: a heading, and what it is about.
step() {
  printf '\n'
  say "$1"
  printf '    %s\n' "${@:2}"
  printf '\n'
}

# run COMMAND...: shows the command and what it prints; its status is the command's.
run() {
  printf '    $ %s\n' "$*"
  "$@" </dev/null 2>&1 | indent
}

# run_or_die COMMAND...: run, and the demo ends when it fails.
run_or_die() {
  run "$@" || fail "'$*' failed"
}

# run_refused REASON COMMAND...: run, for a command that has to fail with that reason among its words.
run_refused() {
  local output status=0
  printf '    $ %s\n' "${*:2}"
  output=$("${@:2}" </dev/null 2>&1) || status=$?
  printf '%s\n(exit status %d)\n' "$output" "$status" | indent
  if [[ $status -eq 0 ]]; then fail "this should have been refused"; fi
  if [[ $output != *$1* ]]; then fail "it was refused, but not because: $1"; fi
}

# check TEXT PATTERN FILE: says that the file has the pattern, or ends the demo.
check() {
  grep -q -e "$2" "$3" || fail "not so: $1"
  printf '    so %s\n' "$1"
}

fail() {
  printf '\nThe daemon said:\n' >&2
  indent <tlsagentd.log >&2 2>/dev/null || true
  die "$*"
}

# until_there PATTERN FILE: waits until the file has the pattern, as long as what was started last is running.
until_there() {
  local tries
  for ((tries = 0; tries < 400; tries++)); do
    if grep -q -e "$1" "$2" 2>/dev/null; then return; fi
    kill -0 "${DEMO_PIDS[-1]}" 2>/dev/null || break
    sleep 0.05
  done
  fail "'$1' never appeared in $2: $(cat "$2" 2>/dev/null)"
}

# --- The steps --------------------------------------------------------------------------------------------------------

demo_linkage() {
  step "Two programs, one with a TLS library" \
    "tlsagent is the client, and this is all that it links. tlsagentd, the daemon, has the OpenSSL, and will have the keys."
  run_or_die tlsagent --version
  printf '    $ ldd tlsagent\n'
  ldd "$(readlink -f bin/tlsagent)" | tee linked | indent
  printf '    $ readelf --dynamic tlsagentd | grep NEEDED\n'
  readelf --dynamic "$(readlink -f bin/tlsagentd)" | grep NEEDED | indent
  if grep -E 'ssl|crypto|tls[.-]|nss' linked; then fail "tlsagent links a TLS library"; fi
  printf '    so tlsagent has no TLS library\n'
}

demo_daemon() {
  step "The daemon" \
    "It listens on a socket in a temporary directory, and says when it is ready." \
    "A client looks for it where TLSAGENT_SOCKET says."
  printf '    $ tlsagentd --listen %s &\n' "$TLSAGENT_SOCKET"
  tlsagentd --listen "$TLSAGENT_SOCKET" 2>tlsagentd.log </dev/null &
  DEMO_PIDS+=($!)
  until_there ready tlsagentd.log
  indent <tlsagentd.log
}

# demo_issue NAME ISSUER SUBJECT EXTENSION: a key and a certificate, NAME.key and NAME.pem.
demo_issue() {
  local signer=(-signkey "$1.key")
  if [[ $2 != "$1" ]]; then signer=(-CA "$2.pem" -CAkey "$2.key" -CAcreateserial); fi
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$3" -keyout "$1.key" -out "$1.csr"
  printf '%s\n' "$4" >"$1.ext"
  openssl x509 -req -in "$1.csr" "${signer[@]}" -days 2 -extfile "$1.ext" -out "$1.pem"
}

demo_certificates() {
  step "Certificates" \
    "A CA is made, good for two days, and with it a certificate for localhost."
  {
    demo_issue ca ca "/CN=Demo CA" "basicConstraints=critical,CA:true"
    demo_issue server ca "/CN=localhost" "subjectAltName=DNS:localhost"
  } >openssl.log 2>&1 || fail "openssl failed: $(cat openssl.log)"
  run_or_die tlsagent decode server.pem
}

# demo_nginx: a real TLS server on a port that the kernel chose; it inherits the socket, so no port is guessed.
demo_nginx() {
  printf 'This page came from nginx, over TLS.\n' >index.html
  NGINX_DIRECTORY=$PWD /usr/bin/python3 - <<'PYTHON' >nginx.log 2>&1 &
import os, socket
directory = os.environ["NGINX_DIRECTORY"]
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
user = "user root;" if os.getuid() == 0 else ""  # the directory is nobody else's to read
with open("nginx.conf", "w") as config:
    config.write(f"""
        daemon off; worker_processes 1; {user} pid {directory}/nginx.pid; error_log stderr warn;
        events {{}}
        http {{
          access_log off; client_body_temp_path {directory}; proxy_temp_path {directory};
          fastcgi_temp_path {directory}; uwsgi_temp_path {directory}; scgi_temp_path {directory};
          server {{
            listen 127.0.0.1:{port} ssl; root {directory}; ssl_protocols TLSv1.2 TLSv1.3;
            ssl_certificate {directory}/server.pem; ssl_certificate_key {directory}/server.key;
          }}
        }}""")
with open("nginx.port", "w") as file:
    print(port, file=file)
os.set_inheritable(listener.fileno(), True)
os.environ["NGINX"] = f"{listener.fileno()};"
os.execvp("nginx", ["nginx", "-p", directory, "-c", directory + "/nginx.conf", "-e", "stderr"])
PYTHON
  DEMO_PIDS+=($!)
  until_there '^[0-9]' nginx.port
}

demo_fetch() {
  demo_nginx
  local port
  port=$(cat nginx.port)
  step "A page over TLS, from a real server" \
    "nginx serves with that certificate. tlsagent connects by TCP and passes the connected socket to the daemon, which" \
    "shakes hands, verifies the certificate and its name against our CA, and moves the records. tlsagent sees plaintext."
  run_or_die nginx -v
  run_or_die tlsagent connect "localhost:$port" --cafile ca.pem --get / | tee fetched
  check "the certificate is verified" "Verification: *ok" fetched
  check "the page is nginx's" "This page came from nginx" fetched
  step "The same, with no descriptor passed" \
    "On the memory path tlsagent keeps its socket and ships the ciphertext in calls: for event loops, and for" \
    "transports that are no sockets. This time TLS 1.2."
  run_or_die tlsagent connect "localhost:$port" --cafile ca.pem --path memory --tls1.2 --get / | tee fetched
  check "the page is the same" "This page came from nginx" fetched
}

demo_refuse() {
  local port
  port=$(cat nginx.port)
  step "Whom not to trust" \
    "The same server under a name that its certificate isn't for, and then without our CA: both end in the handshake," \
    "with the reason and an exit status of their own, and nothing is asked of the server."
  run_refused "mismatch" tlsagent connect "localhost:$port" --cafile ca.pem --servername elsewhere.example --get /
  run_refused "certificate" tlsagent connect "localhost:$port" --get /
}

demo_serve() {
  step "The other way round: a page served over TLS, to a real client" \
    "tlsagent accepts TCP connections and passes each to the daemon, which is given the certificate and the key and" \
    "never shows the key again. curl verifies with our CA. The page tells what was agreed."
  printf '    $ tlsagent serve --listen 127.0.0.1:0 --cert server.pem --key server.key &\n'
  tlsagent serve --listen 127.0.0.1:0 --cert server.pem --key server.key >serve.log 2>&1 </dev/null &
  DEMO_PIDS+=($!)
  until_there 'listening on' serve.log
  indent <serve.log
  local port
  port=$(sed -n 's/^listening on .*:\([0-9]*\)$/\1/p' serve.log)
  run_or_die curl --silent --show-error --cacert ca.pem "https://localhost:$port/" | tee served
  check "curl trusts it and has the page" "tlsagent serve" served
}

# demo_plain: a service that knows nothing of TLS, on a port that the kernel chose.
demo_plain() {
  printf 'This page came from a service without TLS.\n' >plain.txt
  /usr/bin/python3 - <<'PYTHON' >plain.log 2>&1 &
import http.server
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
with open("plain.port", "w") as file:
    print(server.server_address[1], file=file)
server.serve_forever()
PYTHON
  DEMO_PIDS+=($!)
  until_there '^[0-9]' plain.port
}

demo_relay() {
  demo_plain
  local port
  port=$(cat plain.port)
  step "TLS before a service that has none" \
    "The relay listens, and starts a daemon of its own, which shakes hands, passes plaintext on to Python's http.server and" \
    "back, and ends with it. No call of anybody's is on the way of the bytes."
  printf '    $ tlsagent relay --listen 127.0.0.1:0 --to 127.0.0.1:%s --cert server.pem --key server.key --verbose &\n' "$port"
  tlsagent relay --listen 127.0.0.1:0 --to "127.0.0.1:$port" --cert server.pem --key server.key --verbose \
    >relay.log 2>&1 </dev/null &
  DEMO_PIDS+=($!)
  until_there '^relaying' relay.log
  local front
  front=$(sed -n 's/^relaying .*:\([0-9]*\) to .*/\1/p' relay.log)
  run_or_die curl --silent --show-error --cacert ca.pem "https://localhost:$front/plain.txt" | tee relayed
  check "curl has the plain service's page, by TLS" "a service without TLS" relayed
  until_there 'bytes in' relay.log
  indent <relay.log
}

demo_ask() {
  step "What the daemon is and can do" \
    "What isn't built yet is said here too."
  run_or_die tlsagent info
  step "How long a call takes" \
    "A thousand calls that do nothing, one after the other, over the Unix socket, on this machine as it is now."
  run_or_die tlsagent ping --count 1000
}

demo_public() {
  step "A page of $1" \
    "A public server, by the certificates that this system trusts."
  run tlsagent connect "$1" --get / >public || fail "no page of $1: $(cat public)"
  head -n 20 public | tr -d '\000-\010\013-\037\177' # a page of somebody's, on a terminal
}

demo_stop() {
  step "The end" \
    "SIGTERM: calls in flight are finished, and nothing is left."
  local daemon=${DEMO_PIDS[0]} status=0
  printf '    $ kill -TERM %d\n' "$daemon"
  kill "$daemon"
  wait "$daemon" || status=$?
  DEMO_PIDS=("${DEMO_PIDS[@]:1}")
  tail -n 1 tlsagentd.log | indent
  if [[ $status -ne 0 || -e agent.sock ]]; then fail "the daemon ended with $status"; fi
  printf '    so it ended with status 0, and its socket is gone\n\n'
  say "all went as it should"
}

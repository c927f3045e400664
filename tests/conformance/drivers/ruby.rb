# The cells by Ruby's gRPC, with stubs as protoc makes them. conformance_test.py says what each cell has to do and to print.
require 'grpc'
require 'socket'
require 'tlsagent/v1/certificate_services_pb'
require 'tlsagent/v1/context_services_pb'
require 'tlsagent/v1/session_services_pb'

include Tlsagent::V1

DAEMON = [ENV.fetch('TLSAGENT_SOCKET'), :this_channel_is_insecure].freeze
SESSIONS = SessionService::Stub.new(*DAEMON)
MOST = 1 << 20
A_MOMENT = 0.5

$stdout.sync = true

def say(facts)
  facts.each { |name, value| puts "#{name}=#{value}" }
end

def material(path)
  Material.new(data: File.binread(path))
end

def context(kind, pair, **fields)
  pairs = pair.empty? ? [] : [CertificatePair.new(chain: material(pair[0]), key: material(pair[1]))]
  request = CreateContextRequest.new(kind: kind, pairs: pairs, **fields)
  answer = ContextService::Stub.new(*DAEMON).create(request)
  abort "#{answer.error.item}: #{answer.error.text}" if answer.error
  answer.context
end

def client(ca, pair = [], alpn = [])
  settings = ContextSettings.new
  settings.alpn = AlpnSettings.new(protocols: alpn) unless alpn.empty?
  context(:CONTEXT_KIND_CLIENT, pair, settings: settings, trust: TrustSettings.new(certificates: [material(ca)]))
end

def check(progress)
  error = progress.error
  abort(error.verify_message.empty? ? error.text : error.verify_message) if error
end

# A connection that the daemon makes.
class Session
  attr_reader :negotiated, :id

  def initialize(context, port, resumption = nil)
    dial = DialTransport.new(host: 'localhost', port: port.to_i)
    request = ConnectRequest.new(context: context, transport: Transport.new(dial: dial), resumption: resumption)
    opened = SESSIONS.connect(request)
    check(opened.progress)
    @id = opened.session
    @negotiated = opened.negotiated
  end

  def write(data)
    until data.empty?
      answer = SESSIONS.write(WriteRequest.new(session: @id, data: data.byteslice(0, MOST)))
      check(answer.progress)
      data = data.byteslice(answer.accepted..)
    end
  end

  # Some bytes; none at the end that the peer has told of.
  def read
    answer = SESSIONS.read(ReadRequest.new(session: @id, max_bytes: MOST))
    check(answer.progress)
    answer.data
  end

  def rest
    data = ''.b
    until (part = read).empty?
      data << part
    end
    data
  end

  def page
    write("GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    head, body = rest.split("\r\n\r\n", 2)
    say(status: head.split[1], body: body.strip)
  end

  def ask
    write("question\n")
    say(then: read.strip)
  end

  def close
    SESSIONS.shutdown(ShutdownRequest.new(session: @id))
    SESSIONS.close(CloseSessionRequest.new(session: @id))
  end
end

def get(port, ca, *pair)
  session = Session.new(client(ca, pair), port)
  session.page
  session.close
end

def alpn(port, ca)
  session = Session.new(client(ca, [], ['matrix/2', 'http/1.1']), port)
  say(alpn: session.negotiated.alpn)
  session.page
  session.close
end

def resume(port, ca)
  made = client(ca)
  resumption = nil
  2.times do
    session = Session.new(made, port, resumption)
    session.page
    say(resumed: session.negotiated.resumed)
    resumption = SESSIONS.get_resumption(GetResumptionRequest.new(session: session.id)).resumption
    session.close
  end
end

def cancel(port, ca)
  session = Session.new(client(ca), port)
  waiting = SESSIONS.read(ReadRequest.new(session: session.id), return_op: true)
  Thread.new { sleep A_MOMENT and waiting.cancel }
  begin
    waiting.execute
  rescue GRPC::Cancelled => e
    say(cancelled: e.class)
  end
  session.ask
  session.close
end

def deadline(port, ca)
  session = Session.new(client(ca), port)
  begin
    SESSIONS.read(ReadRequest.new(session: session.id), deadline: Time.now + A_MOMENT)
  rescue GRPC::DeadlineExceeded => e
    say(expired: e.class)
  end
  session.ask
  session.close
end

def bulk(port, ca, source, target)
  session = Session.new(client(ca), port)
  session.write(File.binread(source))
  File.binwrite(target, session.rest)
  session.close
end

# The memory path: ciphertext goes through this process.
def answer(server, socket)
  session = SESSIONS.accept(AcceptRequest.new(context: server, transport: Transport.new(memory: MemoryTransport.new))).session
  request = ''.b
  unread = ''.b
  until request.include?("\r\n\r\n")
    read = SESSIONS.read(ReadRequest.new(session: session, feed: Feed.new(data: unread)))
    socket.write(read.progress.output)
    unread = unread.byteslice(read.progress.input_consumed..)
    request << read.data
    return if %i[STATE_FAILED STATE_CLOSED].include?(read.progress.state)

    unread << socket.readpartial(1 << 16) if read.progress.state == :STATE_WANT_READ
  end
  say(request: request.lines.first.strip)
  page = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nconformance\n"
  socket.write(SESSIONS.write(WriteRequest.new(session: session, data: page)).progress.output)
  socket.write(SESSIONS.shutdown(ShutdownRequest.new(session: session)).progress.output)
rescue IOError, SystemCallError => e
  warn e.message
ensure
  SESSIONS.close(CloseSessionRequest.new(session: session)) if session
  socket.close
end

def serve(*pair)
  server = context(:CONTEXT_KIND_SERVER, pair)
  listener = TCPServer.new('127.0.0.1', 0)
  say(port: listener.addr[1])
  loop { answer(server, listener.accept) }
end

def decode(path)
  answer = CertificateService::Stub.new(*DAEMON).decode(DecodeRequest.new(certificates: material(path)))
  abort answer.error.text if answer.error
  answer.certificates.each do |one|
    say(cn: one.subject.flat_map { |step| step.attributes.to_a }.find { |a| a.short_type == 'CN' }.text,
        names: one.subject_alt_names.map(&:text).join(','), until: one.not_after_unix)
  end
end

send(ARGV[0], *ARGV[1..])

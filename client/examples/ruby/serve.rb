#!/usr/bin/ruby
# Serves an https page without a TLS library: serve.rb PORT CHAIN.pem KEY.pem
#
# The key goes to the daemon and stays there. Each connection to 127.0.0.1:PORT gets the page; port 0 takes any that is free.
require 'grpc'
require 'socket'
require 'tlsagent/v1/context_services_pb'
require 'tlsagent/v1/session_services_pb'

include Tlsagent::V1

unless ARGV.size == 3 && ENV['TLSAGENT_SOCKET']
  abort 'usage: TLSAGENT_SOCKET=unix:PATH serve.rb PORT CHAIN.pem KEY.pem'
end

DAEMON = [ENV['TLSAGENT_SOCKET'], :this_channel_is_insecure].freeze
SESSIONS = SessionService::Stub.new(*DAEMON)
PAGE = "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhello by gRPC\n".freeze

# The memory path: ciphertext goes through the socket here, and through calls to the daemon and back.
class Tls
  def initialize(context, socket)
    memory = Transport.new(memory: MemoryTransport.new)
    @session = SESSIONS.accept(AcceptRequest.new(context: context, transport: memory)).session
    @socket = socket
    @unread = ''.b
  end

  # Some bytes; none after the peer's close_notify. The handshake is a part of the first read.
  def read
    eof = false
    loop do
      feed = Feed.new(data: @unread, eof: eof)
      answer = SESSIONS.read(ReadRequest.new(session: @session, feed: feed))
      return answer.data if settle(answer.progress) != :STATE_WANT_READ

      @unread << @socket.readpartial(1 << 16)
    rescue EOFError
      eof = true
    end
  end

  def write(data)
    settle(SESSIONS.write(WriteRequest.new(session: @session, data: data)).progress)
    settle(SESSIONS.shutdown(ShutdownRequest.new(session: @session)).progress)
  end

  def close
    SESSIONS.close(CloseSessionRequest.new(session: @session))
  end

  private

  # What the peer is to get is sent whatever the state is: an alert may be in it.
  def settle(progress)
    @socket.write(progress.output)
    @unread = @unread.byteslice(progress.input_consumed..)
    raise IOError, progress.error.text if progress.state == :STATE_FAILED

    progress.state
  end
end

def make_context(chain, key)
  pair = CertificatePair.new(chain: Material.new(data: File.binread(chain)), key: Material.new(data: File.binread(key)))
  answer = ContextService::Stub.new(*DAEMON).create(CreateContextRequest.new(kind: :CONTEXT_KIND_SERVER, pairs: [pair]))
  raise "#{answer.error.item}: #{answer.error.text}" if answer.error

  answer.context
end

def answer(context, socket)
  tls = Tls.new(context, socket)
  request = ''.b
  until request.include?("\r\n\r\n") || request.bytesize > 1 << 16
    data = tls.read
    return if data.empty?

    request << data
  end
  tls.write(PAGE)
rescue IOError, SystemCallError => e
  warn "serve.rb: #{e.message}"
ensure
  tls&.close
  socket.close
end

begin
  context = make_context(ARGV[1], ARGV[2])
  listener = TCPServer.new('127.0.0.1', ARGV[0].to_i)
  puts "https://localhost:#{listener.addr[1]}/"
  $stdout.flush
  loop { answer(context, listener.accept) }
rescue GRPC::BadStatus, SystemCallError, RuntimeError => e
  abort "serve.rb: #{e.message}"
end

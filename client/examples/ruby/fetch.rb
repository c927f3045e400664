#!/usr/bin/ruby
# Gets an https page without a TLS library: fetch.rb HOST[:PORT][/PATH] [CA.pem]
#
# The daemon makes the connection, which its --allow-dial has to permit. Without CA.pem its system store says whom to
# trust. The page goes to standard output, its headers with it.
require 'grpc'
require 'tlsagent/v1/context_services_pb'
require 'tlsagent/v1/session_services_pb'

include Tlsagent::V1

unless [1, 2].include?(ARGV.size) && ENV['TLSAGENT_SOCKET']
  abort 'usage: TLSAGENT_SOCKET=unix:PATH fetch.rb HOST[:PORT][/PATH] [CA.pem]'
end

DAEMON = [ENV['TLSAGENT_SOCKET'], :this_channel_is_insecure].freeze
SESSIONS = SessionService::Stub.new(*DAEMON)

def make_context(ca)
  trust = ca ? TrustSettings.new(certificates: [Material.new(data: File.binread(ca))]) : TrustSettings.new(system: true)
  request = CreateContextRequest.new(kind: :CONTEXT_KIND_CLIENT, trust: trust)
  answer = ContextService::Stub.new(*DAEMON).create(request)
  raise "#{answer.error.item}: #{answer.error.text}" if answer.error

  answer.context
end

# A failure of TLS is an answer; GRPC::BadStatus is one of the call.
def done?(progress)
  error = progress.error
  raise error.verify_message.empty? ? error.text : error.verify_message if error

  progress.state == :STATE_DONE
end

def fetch(where, ca = nil)
  place, path = where.split('/', 2)
  host, port = place.split(':')
  dial = DialTransport.new(host: host, port: (port || 443).to_i)
  opened = SESSIONS.connect(
    ConnectRequest.new(context: make_context(ca), transport: Transport.new(dial: dial),
                       first_write: "GET /#{path} HTTP/1.1\r\nHost: #{place}\r\nConnection: close\r\n\r\n")
  )
  done?(opened.progress)
  loop do
    answer = SESSIONS.read(ReadRequest.new(session: opened.session))
    break unless done?(answer.progress) # the peer itself said that this was the end

    $stdout.write(answer.data)
  end
end

begin
  fetch(*ARGV)
rescue GRPC::BadStatus, SystemCallError, RuntimeError => e
  abort "fetch.rb: #{e.message}"
end

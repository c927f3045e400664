#!/usr/bin/ruby
# Tells what is in certificates without a TLS library: decode.rb FILE (PEM or DER)
require 'grpc'
require 'tlsagent/v1/certificate_services_pb'

include Tlsagent::V1

unless ARGV.size == 1 && ENV['TLSAGENT_SOCKET']
  abort 'usage: TLSAGENT_SOCKET=unix:PATH decode.rb FILE'
end

def name(steps)
  steps.flat_map { |step| step.attributes.map { |one| "#{one.short_type}=#{one.text}" } }.join(', ')
end

def show(one)
  puts "subject  #{name(one.subject)}"
  puts "issuer   #{name(one.issuer)}"
  puts "names    #{one.subject_alt_names.map(&:text).join(', ')}"
  puts "until    #{Time.at(one.not_after_unix).utc}"
  puts "key      #{one.key_type} #{one.key_bits}"
  puts "sha256   #{one.fingerprint_sha256.unpack1('H*')}"
end

def decode(path)
  certificates = CertificateService::Stub.new(ENV['TLSAGENT_SOCKET'], :this_channel_is_insecure)
  answer = certificates.decode(DecodeRequest.new(certificates: Material.new(data: File.binread(path))))
  raise "#{path}: #{answer.error.text}" if answer.error # what can't be decoded is an answer

  answer.certificates.each { |one| show(one) }
end

begin
  decode(ARGV[0])
rescue GRPC::BadStatus, SystemCallError, RuntimeError => e
  abort "decode.rb: #{e.message}"
end

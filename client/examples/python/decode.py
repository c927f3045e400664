#!/usr/bin/python3
"""Tells what is in certificates without a TLS library: decode.py FILE (PEM or DER)"""
import datetime
import sys

import grpc
from memory_tls import CHANNEL, material
from tlsagent.v1 import certificate_pb2, certificate_pb2_grpc


def name(steps):
    return ", ".join(f"{one.short_type}={one.text}" for step in steps for one in step.attributes)


def decode(path):
    certificates = certificate_pb2_grpc.CertificateServiceStub(CHANNEL)
    answer = certificates.Decode(certificate_pb2.DecodeRequest(certificates=material(path)))
    if answer.HasField("error"):
        raise ValueError(f"{path}: {answer.error.text or answer.error.reason}")
    for one in answer.certificates:
        print("subject ", name(one.subject))
        print("issuer  ", name(one.issuer))
        print("names   ", ", ".join(other.text for other in one.subject_alt_names))
        print("until   ", datetime.datetime.fromtimestamp(one.not_after_unix, datetime.timezone.utc))
        print("key     ", one.key_type, one.key_bits)
        print("sha256  ", one.fingerprint_sha256.hex())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        decode(sys.argv[1])
    except (OSError, ValueError, grpc.RpcError) as error:
        sys.exit(f"decode.py: {error}")

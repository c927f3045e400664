#!/usr/bin/python3
"""Tells what is in certificates without a TLS library: decode.py FILE (PEM or DER)"""
import datetime
import os
import sys

import grpc
from tlsagent.v1 import certificate_pb2, certificate_pb2_grpc


def name(steps):
    return ", ".join(f"{one.short_type}={one.text}" for step in steps for one in step.attributes)


def decode(path):
    certificates = certificate_pb2_grpc.CertificateServiceStub(grpc.insecure_channel(os.environ["TLSAGENT_SOCKET"]))
    request = certificate_pb2.DecodeRequest()
    with open(path, "rb") as file:
        request.certificates.data = file.read()
    answer = certificates.Decode(request)
    if answer.HasField("error"):  # what can't be decoded is an answer; grpc.RpcError is a failure of the call
        raise ValueError(f"{path}: {answer.error.text}")
    for one in answer.certificates:
        print("subject ", name(one.subject))
        print("issuer  ", name(one.issuer))
        print("names   ", ", ".join(other.text for other in one.subject_alt_names))
        print("until   ", datetime.datetime.fromtimestamp(one.not_after_unix, datetime.timezone.utc))
        print("key     ", one.key_type, one.key_bits)
        print("sha256  ", one.fingerprint_sha256.hex())


if __name__ == "__main__":
    if len(sys.argv) != 2 or "TLSAGENT_SOCKET" not in os.environ:
        sys.exit(__doc__)
    try:
        decode(sys.argv[1])
    except (OSError, ValueError, grpc.RpcError) as error:
        sys.exit(f"decode.py: {error}")
